#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A client of the resource protocol on Python's websockets.

It knows nothing of ws_bus: it is as strict, and as careless, as the client that
the protocol's documents show. Each step prints a line of JSON for the test.
"""

import asyncio
import json
import sys
import uuid

import websockets


class Refused(Exception):
    def __init__(self, error):
        super().__init__(error["message"])
        self.code = error["code"]


class Client:
    def __init__(self, url):
        self.url = url
        self.waiting = {}
        self.told = {}

    async def connect(self):
        self.socket = await websockets.connect(self.url)
        self.listener = asyncio.create_task(self.listen())

    async def listen(self):
        async for text in self.socket:
            message = json.loads(text)

            if message["type"] == "response":
                waiting = self.waiting.pop(message["id"], None)
                if waiting is None:
                    continue
                if message["success"]:
                    waiting.set_result((message["data"],
                                        message.get("metadata")))
                else:
                    waiting.set_exception(Refused(message["error"]))

            elif message["type"] == "notification":
                self.told[message["subscription_id"]](message)

    async def ask(self, kind, operation, **fields):
        name = str(uuid.uuid4())
        self.waiting[name] = asyncio.get_running_loop().create_future()
        await self.socket.send(json.dumps(
            {"id": name, "type": kind, "operation": operation, **fields}))
        return await asyncio.wait_for(self.waiting[name], 30)

    async def request(self, operation, entity, **fields):
        return await self.ask("request", operation, entity=entity, **fields)

    async def subscribe(self, entity, told, filters=None):
        fields = {"options": {"filters": filters}} if filters else {}
        data, _ = await self.ask("subscription", "subscribe", entity=entity,
                                 **fields)
        self.told[data["subscription_id"]] = told
        return data["subscription_id"]

    async def unsubscribe(self, name):
        return await self.ask("subscription", "unsubscribe",
                              subscription_id=name)

    async def close(self):
        await self.socket.close()
        await self.listener


def say(step, **what):
    print(json.dumps({"step": step, **what}), flush=True)


async def refused(step, asked):
    try:
        await asked
        say(step, code=None)
    except Refused as e:
        say(step, code=e.code)


async def main(url):
    client = Client(url)
    await client.connect()

    active, every = asyncio.Queue(), asyncio.Queue()
    first = await client.subscribe("users", active.put_nowait, [
        {"column": "status", "operator": "eq", "value": "active"}])
    await client.subscribe("users", every.put_nowait)

    def row(message):
        return [message["operation"], message["schema"], message["entity"],
                message["data"]]

    data, _ = await client.request(
        "create", "users", data={"name": "Ann", "status": "active"})
    name = str(data["id"])
    say("create", data=data)
    say("told of the create", active=row(await active.get()),
        every=row(await every.get()))

    data, metadata = await client.request("read", "users", record_id=name)
    say("read one", data=data, metadata=metadata)

    for status in ("idle", "active"):
        await client.request("create", "users",
                             data={"name": "Bea", "status": status})
        await every.get()
    await active.get()

    data, metadata = await client.request("read", "users", options={
        "filters": [{"column": "status", "operator": "eq",
                     "value": "active"}],
        "sort": [{"column": "name", "direction": "desc"}],
        "limit": 1, "offset": 0})
    say("read many", names=[r["name"] for r in data], metadata=metadata)

    data, _ = await client.request("update", "users", record_id=name,
                                   data={"status": "idle"})
    say("update", data=data)
    say("told of the update", active=row(await active.get()),
        every=row(await every.get()))

    data, _ = await client.request("meta", "users")
    say("meta", data=data)

    data, _ = await client.unsubscribe(first)
    say("unsubscribe", unsubscribed=data["unsubscribed"],
        same=data["subscription_id"] == first)

    await client.request("delete", "users", record_id=name)
    say("told of the delete", every=row(await every.get()))
    say("no more", active=active.empty())

    await refused("no such entity", client.request("read", "cars"))
    await refused("read one that is gone",
                  client.request("read", "users", record_id=name))
    await refused("update one that is gone",
                  client.request("update", "users", record_id=name, data={}))
    await refused("delete one that is gone",
                  client.request("delete", "users", record_id=name))
    await refused("unsubscribe again", client.unsubscribe(first))
    await refused("unsubscribe nothing",
                  client.ask("subscription", "unsubscribe"))
    await refused("another operation", client.request("purge", "users"))
    await refused("another operation of a subscription",
                  client.ask("subscription", "pause"))
    await refused("another type", client.ask("notification", "create"))
    await refused("no entity", client.ask("request", "read"))
    await refused("an unknown operator", client.request(
        "read", "users", options={"filters": [
            {"column": "name", "operator": "sounds", "value": "x"}]}))

    await client.close()
    say("closed")


asyncio.run(main(sys.argv[1]))
