# SPDX-License-Identifier: BSD-2-Clause
# A client of the resource protocol with the websockets library, as people who
# read the protocol's document write it: one task listens, and indexes "type",
# "success", "data" and "error" without asking whether they are there; no
# schema is ever sent. Steps come from stdin, one JSON array a line; what came
# of each goes to stdout.

import asyncio
import json
import ssl
import sys
import uuid

import websockets


def say(**what):
    print(json.dumps(what), flush=True)


class Client:
    def __init__(self, ws):
        self.ws = ws
        self.waiting = {}
        self.subscriptions = {}

    async def listen(self):
        try:
            async for text in self.ws:
                message = json.loads(text)
                if message["type"] == "response":
                    self.waiting.pop(message["id"]).set_result(message)
                elif message["type"] == "notification":
                    self.subscriptions[message["subscription_id"]](message)
        except websockets.ConnectionClosed:
            pass
        except Exception as e:
            say(died=repr(e))

    async def send(self, message):
        message["id"] = str(uuid.uuid4())
        answer = asyncio.get_running_loop().create_future()
        self.waiting[message["id"]] = answer
        await self.ws.send(json.dumps(message))
        response = await asyncio.wait_for(answer, 30)
        if response["success"]:
            response["data"]
        else:
            response["error"]["message"]
        return response

    async def request(self, operation, entity, fields):
        return await self.send({"type": "request", "operation": operation,
                                "entity": entity, **fields})

    async def subscribe(self, entity, options):
        response = await self.send({
            "type": "subscription", "operation": "subscribe",
            "entity": entity, "options": options})
        if response["success"]:
            name = response["data"]["subscription_id"]
            self.subscriptions[name] = lambda message: say(told=message)
        return response

    async def unsubscribe(self, name):
        return await self.send({"type": "subscription",
                                "operation": "unsubscribe",
                                "subscription_id": name})


async def main(url):
    tls = None
    if url.startswith("wss:"):
        tls = ssl.create_default_context()
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE

    async with websockets.connect(url, ssl=tls) as ws:
        client = Client(ws)
        listener = asyncio.ensure_future(client.listen())
        loop = asyncio.get_running_loop()
        while True:
            line = await loop.run_in_executor(None, sys.stdin.readline)
            if not line:
                break
            step, *args = json.loads(line)
            say(answer=await getattr(client, step)(*args))
        listener.cancel()


asyncio.run(main(sys.argv[1]))
