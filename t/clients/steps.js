// SPDX-License-Identifier: BSD-2-Clause
// A client of the resource protocol in JavaScript: promises by id with times
// of 30 s (10 s for subscriptions), a ping with an id, no schema, "options":{}
// where there is no filter. Steps come from stdin, one JSON array a line; what
// came of each goes to stdout.

'use strict';

const readline = require('readline');
const WebSocket = require('ws');

const say = (what) => process.stdout.write(JSON.stringify(what) + '\n');

class Client {
    constructor(url) {
        this.next = 0;
        this.waiting = new Map();
        this.callbacks = new Map();
        this.ws = new WebSocket(url, { rejectUnauthorized: false });
        this.opened = new Promise((resolve, reject) => {
            this.ws.onopen = resolve;
            this.ws.onerror = reject;
        });
        this.ws.onmessage = (event) => this.got(JSON.parse(event.data));
    }

    got(message) {
        if (message.type === 'notification') {
            this.callbacks.get(message.subscription_id)(message);
            return;
        }
        const resolve = this.waiting.get(message.id);
        this.waiting.delete(message.id);
        resolve(message);
    }

    send(message, time) {
        const id = `msg-${Date.now()}-${++this.next}`;
        return new Promise((resolve, reject) => {
            const timer = setTimeout(() => reject(new Error('timeout')), time);
            this.waiting.set(id, (answer) => {
                clearTimeout(timer);
                if (answer.success === false && !answer.error.message) {
                    reject(new Error('no message'));
                }
                resolve(answer);
            });
            this.ws.send(JSON.stringify({ id, ...message }));
        });
    }

    request(operation, entity, fields) {
        return this.send({ type: 'request', operation, entity, ...fields },
                         30000);
    }

    async subscribe(entity, options) {
        const answer = await this.send({ type: 'subscription',
            operation: 'subscribe', entity, options: options || {} }, 10000);
        if (answer.success) {
            this.callbacks.set(answer.data.subscription_id,
                               (message) => say({ told: message }));
        }
        return answer;
    }

    unsubscribe(name) {
        return this.send({ type: 'subscription', operation: 'unsubscribe',
                           subscription_id: name }, 10000);
    }

    ping() {
        return this.send({ type: 'ping' }, 30000);
    }
}

(async () => {
    const client = new Client(process.argv[2]);
    await client.opened;
    for await (const line of readline.createInterface(process.stdin)) {
        const [step, ...args] = JSON.parse(line);
        say({ answer: await client[step](...args) });
    }
    client.ws.close();
})().catch((e) => {
    say({ died: String(e) });
    process.exit(1);
});
