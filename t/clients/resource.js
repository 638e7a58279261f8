#!/usr/bin/node
// SPDX-License-Identifier: BSD-2-Clause
//
// A client of the resource protocol in JavaScript, as browsers run it; on Node
// the class WebSocket comes from ws. It knows nothing of ws_bus: it parses each
// frame as one document and looks into what it expects. Each step prints a line
// of JSON for the test.

'use strict';

const WebSocket = require('ws');

class Client {
    constructor(url) {
        this.waiting = new Map();
        this.told = new Map();
        this.next = 0;
        this.socket = new WebSocket(url);
        this.socket.onmessage = (event) => this.message(JSON.parse(event.data));
        this.opened = new Promise((resolve, reject) => {
            this.socket.onopen = resolve;
            this.socket.onerror = reject;
        });
    }

    message(message) {
        if (message.type === 'notification') {
            this.told.get(message.subscription_id)(message);
            return;
        }

        const waiting = this.waiting.get(message.id);
        this.waiting.delete(message.id);

        if (message.type === 'pong') {
            waiting.resolve(message);
        } else if (message.success) {
            waiting.resolve(message);
        } else {
            waiting.reject(message.error);
        }
    }

    send(message) {
        const id = `js-${++this.next}`;
        this.socket.send(JSON.stringify({ id, ...message }));
        return new Promise((resolve, reject) =>
            this.waiting.set(id, { resolve, reject }));
    }

    request(operation, entity, more) {
        return this.send({ type: 'request', operation, entity, ...more });
    }

    async subscribe(entity, told, options) {
        const { data } = await this.send(
            { type: 'subscription', operation: 'subscribe', entity, options });
        this.told.set(data.subscription_id, told);
        return data.subscription_id;
    }
}

const say = (step, what) => console.log(JSON.stringify({ step, ...what }));

const refused = (step, asked) => asked.then(
    () => say(step, { code: null }),
    (error) => say(step, { code: error.code }));

// what comes, to be awaited
const queue = () => {
    const items = [], takers = [];
    return {
        put: (item) => takers.length ? takers.shift()(item) : items.push(item),
        get: () => items.length ? Promise.resolve(items.shift())
                                : new Promise((take) => takers.push(take)),
        empty: () => items.length === 0,
    };
};

const row = (m) => [m.operation, m.schema, m.entity, m.data];

async function main(url) {
    const client = new Client(url);
    await client.opened;

    const active = queue(), every = queue();
    const first = await client.subscribe('users', active.put, { filters: [
        { column: 'status', operator: 'eq', value: 'active' }] });
    await client.subscribe('users', every.put);

    let { data, metadata } = await client.request('create', 'users',
        { data: { name: 'Ann', status: 'active' } });
    const name = String(data.id);
    say('create', { data });
    say('told of the create', { active: row(await active.get()),
                                every: row(await every.get()) });

    ({ data, metadata } = await client.request('read', 'users',
                                               { record_id: name }));
    say('read one', { data, metadata });

    for (const status of ['idle', 'active']) {
        await client.request('create', 'users', { data: { name: 'Bea', status } });
        await every.get();
    }
    await active.get();

    ({ data, metadata } = await client.request('read', 'users', { options: {
        filters: [{ column: 'status', operator: 'eq', value: 'active' }],
        sort: [{ column: 'name', direction: 'desc' }], limit: 1, offset: 0 } }));
    say('read many', { names: data.map((r) => r.name), metadata });

    ({ data } = await client.request('update', 'users',
        { record_id: name, data: { status: 'idle' } }));
    say('update', { data });
    say('told of the update', { active: row(await active.get()),
                                every: row(await every.get()) });

    ({ data } = await client.request('meta', 'users'));
    say('meta', { data });

    ({ data } = await client.send({ type: 'subscription',
        operation: 'unsubscribe', subscription_id: first }));
    say('unsubscribe', { unsubscribed: data.unsubscribed,
                         same: data.subscription_id === first });

    await client.request('delete', 'users', { record_id: name });
    say('told of the delete', { every: row(await every.get()) });
    say('no more', { active: active.empty() });

    const one = { record_id: name };
    await refused('no such entity', client.request('read', 'cars'));
    await refused('read one that is gone', client.request('read', 'users', one));
    await refused('update one that is gone',
                  client.request('update', 'users', { ...one, data: {} }));
    await refused('delete one that is gone',
                  client.request('delete', 'users', one));
    await refused('unsubscribe again', client.send({ type: 'subscription',
        operation: 'unsubscribe', subscription_id: first }));
    await refused('unsubscribe nothing', client.send({ type: 'subscription',
        operation: 'unsubscribe' }));
    await refused('another operation', client.request('purge', 'users'));
    await refused('another operation of a subscription',
                  client.send({ type: 'subscription', operation: 'pause' }));
    await refused('another type',
                  client.send({ type: 'notification', operation: 'create' }));
    await refused('no entity', client.send({ type: 'request',
                                             operation: 'read' }));
    await refused('an unknown operator', client.request('read', 'users',
        { options: { filters: [{ column: 'name', operator: 'sounds',
                                 value: 'x' }] } }));

    const closed = new Promise((resolve) => client.socket.onclose = resolve);
    client.socket.close();
    await closed;
    say('closed');
}

main(process.argv[2]).catch((e) => { console.error(e); process.exit(1); });
