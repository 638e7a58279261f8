// SPDX-License-Identifier: BSD-2-Clause
// A client of the section protocol in JavaScript, as a page has it: the token
// is a segment of the URL; when it is connected it asks for the list; it keeps
// what each topic said last. Every message is looked at, whatever it is.

'use strict';

const WebSocket = require('ws');

const [base, entity, section, token] = process.argv.slice(2);
const say = (what) => process.stdout.write(JSON.stringify(what) + '\n');

const fields = ['topic', 'entity', 'action', 'resourceId', 'data', 'metadata',
                'timestamp'];

function check(message) {
    const names = Object.keys(message);
    const order = names.map((name) => fields.indexOf(name));
    return order.every((n, i) => n >= 0 && (i === 0 || n > order[i - 1]))
        && ['topic', 'entity', 'action', 'timestamp'].every((name) =>
            typeof message[name] === 'string' && message[name] !== '')
        && message.topic === `${message.entity}.${message.action}`
        && !Number.isNaN(Date.parse(message.timestamp))
        && message.timestamp.endsWith('Z')
        && Object.values(message.metadata || {}).every((value) =>
            typeof value === 'string');
}

const ws = new WebSocket(`${base}/ws/${entity}/${section}/${token}`);

ws.onmessage = (event) => {
    const message = JSON.parse(event.data);

    if (message.topic === 'system.connected') {
        ws.send(JSON.stringify({ action: `list_${message.data.entity}` }));
        ws.send(JSON.stringify({ action: 'ping' }));
    }

    say({ good: check(message), topic: message.topic,
          origin: (message.metadata || {}).origin, data: message.data });
};

ws.onclose = (event) => {
    say({ closed: event.code });
    process.exit(0);
};

ws.onerror = (error) => say({ error: String(error.message) });

process.stdin.on('end', () => ws.close(1000)).resume();
