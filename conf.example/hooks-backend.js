#!/usr/bin/node
// SPDX-License-Identifier: BSD-2-Clause
// A backend that decides, for hooks.conf: node hooks-backend.js 3000

'use strict';

const http = require('http');

const notes = [];

// Who has come and gone: a list. What is told again after a failure has the same id; a real backend forgets ids after a
// day.
const told = new Set();
const here = new Map();

function presence(list) {
    for (const { id, phase, user } of list.filter((notice) => !told.has(notice.id))) {
        told.add(id);
        here.set(user, (here.get(user) || 0) + (phase === 'after_connect' ? 1 : -1));
    }

    return [204];
}

function hook(url, told) {
    if (told.phase === 'before_connect') {
        const user = url.searchParams.get('user') || '';

        // here you would look up a session, or a token
        return /^[a-z]+$/.test(user)
            ? [200, { metadata: { user } }]
            : [401, { detail: 'who are you?' }];
    }

    if (told.phase === 'before_create') {
        const note = told.data;

        return note && typeof note.text === 'string' && note.text !== ''
            ? [200, { data: { ...note, owner: told.metadata.user } }]
            : [422, { detail: 'a note must have a text' }];
    }

    return [204];
}

function answer(request, body) {
    const url = new URL(request.url, 'http://backend');

    if (url.pathname === '/hooks') {
        return hook(url, JSON.parse(body));
    }

    if (url.pathname === '/presence') {
        return presence(JSON.parse(body));
    }

    if (url.pathname === '/online') {
        return [200, [...here].filter(([, n]) => n > 0).map(([user]) => user).sort()];
    }

    if (url.pathname === '/notes' && request.method === 'POST') {
        const note = { ...JSON.parse(body), id: notes.length + 1 };
        notes.push(note);
        return [201, note];
    }

    // A condition that it passed over would show what was not asked for.
    if (url.pathname === '/notes' && request.method === 'GET') {
        const query = [...url.searchParams];
        return [200, notes.filter((note) => query.every(([name, value]) => String(note[name]) === value))];
    }

    return [404, { detail: 'there is no such thing' }];
}

http.createServer((request, response) => {
    let body = '';

    request.setEncoding('utf8');
    request.on('data', (text) => { body += text; });
    request.on('end', () => {
        let status, json;

        try {
            [status, json] = answer(request, body);
        } catch (e) {
            [status, json] = [400, { detail: 'that is no JSON' }];
        }

        response.writeHead(status, json === undefined ? {} : { 'Content-Type': 'application/json' });
        response.end(json === undefined ? undefined : JSON.stringify(json));
    });
}).listen(Number(process.argv[2] || 3000), '127.0.0.1');
