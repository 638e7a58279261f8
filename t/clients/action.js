#!/usr/bin/node
// SPDX-License-Identifier: BSD-2-Clause
//
// Clients of the action protocol in JavaScript, as its documents show them: a
// plain one, and one that comes again with a backoff and keeps what it could
// not send. They know nothing of ws_bus. Each step prints a line of JSON; a
// line on stdin lets the second part begin.

'use strict';

const readline = require('readline');
const WebSocket = require('ws');

const say = (step, what) => console.log(JSON.stringify({ step, ...what }));

class Reconnecting {
    constructor(url) {
        this.url = url;
        this.delay = 1000;
        this.waiting = [];
        this.onaction = () => {};
        this.onopen = () => {};
        this.connect();
    }

    connect() {
        this.socket = new WebSocket(this.url);
        this.socket.onopen = () => {
            this.delay = 1000;
            for (const text of this.waiting.splice(0)) this.socket.send(text);
            this.onopen();
        };
        this.socket.onmessage = ({ data }) => {
            const message = JSON.parse(data);
            if (message.type === 'event') this.onaction(message.action);
            else if (message.type === 'error') say('error', { message: message.message });
        };
        this.socket.onerror = () => {};
        this.socket.onclose = ({ code }) => {
            if (this.done) return;
            say('closed', { code });
            setTimeout(() => this.connect(), this.delay);
            this.delay = Math.min(this.delay * 2, 30000);
        };
    }

    command(action) {
        const text = JSON.stringify({ type: 'command', action });
        if (this.socket.readyState === WebSocket.OPEN) this.socket.send(text);
        else this.waiting.push(text);
    }

    close() {
        this.done = true;
        this.socket.close();
    }
}

const next = (client) => new Promise((resolve) => { client.onaction = resolve; });

async function main(url) {
    // the plain one: a ping, a command that is wrong, one that is right
    const plain = new WebSocket(url);
    await new Promise((resolve) => { plain.onopen = resolve; });
    const answer = () => new Promise((resolve) => {
        plain.onmessage = ({ data }) => resolve(JSON.parse(data));
    });

    plain.send(JSON.stringify({ type: 'ping' }));
    say('ping', await answer());

    plain.send(JSON.stringify({ type: 'command', action: { PlaceOrder: {} } }));
    say('wrong', await answer());

    const client = new Reconnecting(url);
    await new Promise((resolve) => { client.onopen = resolve; });

    const told = next(client);
    plain.send(JSON.stringify({ type: 'command', action: {
        PlaceOrder: { customer: 'ann', total: 42 } } }));
    say('right', await answer());
    say('the other', await told);

    // nginx goes and comes: the command that it was not sent goes then
    const again = new Promise((resolve) => { client.onopen = resolve; });
    say('ready');
    await new Promise((resolve) => readline.createInterface(process.stdin)
                                           .once('line', resolve));
    await again;
    const after = next(client);
    client.command({ PlaceOrder: { customer: 'bob', total: 7 } });
    say('again', await after);

    plain.close();
    client.close();
    process.stdin.destroy();
}

main(process.argv[2]).catch((e) => { console.error(e); process.exit(1); });
