#!/usr/bin/node
// SPDX-License-Identifier: BSD-2-Clause
// A backend for conf.example/action.conf, on Node.js 18 and later: it takes commands and publishes what comes of them.
//
//   node action-backend.js 3000 http://127.0.0.1:8081/publish

'use strict';

const http = require('http');

const [port, publish] = process.argv.slice(2);
let orders = 0;

function handle(action) {
    const [name, fields] = typeof action === 'string' ? [action, {}] : Object.entries(action)[0];

    if (name !== 'PlaceOrder') throw new Error(`Invalid action format: unknown action \`${name}\``);
    if (!fields.customer) throw new Error('Invalid action format: missing field `customer`');

    return { OrderPlaced: { ...fields, id: ++orders } };
}

http.createServer(async (request, response) => {
    let body = '', placed;
    for await (const part of request) body += part;

    try {
        placed = handle(JSON.parse(body));
    } catch (error) {
        response.writeHead(422, { 'Content-Type': 'application/json' });
        response.end(JSON.stringify({ error: error.message }));
        return;
    }

    const answer = await fetch(publish, { method: 'POST', headers: { 'Content-Type': 'application/json' },
                                          body: JSON.stringify(placed) }).catch(() => ({}));
    response.writeHead(answer.ok ? 202 : 503).end();
}).listen(Number(port), '127.0.0.1');
