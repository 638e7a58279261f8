// SPDX-License-Identifier: BSD-2-Clause
//
// A typed client of the resource protocol: a request waits 30 s for its answer,
// a subscription 10 s; a ping with an id goes out now and then; who names no
// filter sends empty options, and no schema unless there is one. Each step
// prints a line of JSON for the test.

import WebSocket from 'ws';

type Row = Record<string, unknown>;
type Operation = 'read' | 'create' | 'update' | 'delete' | 'meta';

interface Failure { code: string; message: string; details?: unknown }
interface Response {
    id: string; type: 'response'; success: boolean; data?: unknown;
    error?: Failure; metadata?: { total?: number; count?: number };
    timestamp: string;
}
interface Notification {
    type: 'notification'; subscription_id: string;
    operation: 'create' | 'update' | 'delete'; schema: string; entity: string;
    data: Row; timestamp: string;
}
interface Pong { id?: string; type: 'pong'; timestamp: string }
type Message = Response | Notification | Pong;

interface Pending {
    resolve(response: Response): void;
    reject(error: Error): void;
    timer: NodeJS.Timeout;
}

const REQUEST_TIMEOUT = 30_000;
const SUBSCRIPTION_TIMEOUT = 10_000;

class Client {
    private readonly pending = new Map<string, Pending>();
    private readonly told = new Map<string, (n: Notification) => void>();
    private readonly pongs: Array<(pong: Pong) => void> = [];
    private next = 0;

    private constructor(private readonly socket: WebSocket) {
        socket.on('message', (text: Buffer) =>
            this.message(JSON.parse(text.toString()) as Message));
    }

    static open(url: string): Promise<Client> {
        const socket = new WebSocket(url);
        return new Promise((resolve, reject) => {
            socket.on('open', () => resolve(new Client(socket)));
            socket.on('error', reject);
        });
    }

    private message(message: Message): void {
        switch (message.type) {
        case 'response': {
            const pending = this.pending.get(message.id);
            if (pending === undefined) {
                return;
            }
            this.pending.delete(message.id);
            clearTimeout(pending.timer);
            if (message.success) {
                pending.resolve(message);
            } else {
                pending.reject(Object.assign(
                    new Error(message.error!.message),
                    { code: message.error!.code }));
            }
            return;
        }
        case 'notification':
            this.told.get(message.subscription_id)?.(message);
            return;
        case 'pong':
            this.pongs.shift()?.(message);
        }
    }

    private send(message: Row, timeout: number): Promise<Response> {
        const id = `ts-${++this.next}`;
        return new Promise((resolve, reject) => {
            const timer = setTimeout(() => {
                this.pending.delete(id);
                reject(new Error('timeout'));
            }, timeout);
            this.pending.set(id, { resolve, reject, timer });
            this.socket.send(JSON.stringify({ id, ...message }));
        });
    }

    request(operation: Operation, entity: string, more: Row = {}):
        Promise<Response>
    {
        return this.send({ type: 'request', operation, entity, options: {},
                           ...more }, REQUEST_TIMEOUT);
    }

    async subscribe(entity: string, told: (n: Notification) => void,
                    options: Row = {}): Promise<string>
    {
        const { data } = await this.send(
            { type: 'subscription', operation: 'subscribe', entity, options },
            SUBSCRIPTION_TIMEOUT);
        const id = (data as { subscription_id: string }).subscription_id;
        this.told.set(id, told);
        return id;
    }

    async unsubscribe(id: string): Promise<void> {
        await this.send({ type: 'subscription', operation: 'unsubscribe',
                          subscription_id: id }, SUBSCRIPTION_TIMEOUT);
        this.told.delete(id);
    }

    ping(): Promise<Pong> {
        this.socket.send(JSON.stringify({ id: `ts-${++this.next}`,
                                          type: 'ping' }));
        return new Promise((resolve) => this.pongs.push(resolve));
    }

    close(): Promise<void> {
        return new Promise((resolve) => {
            this.socket.on('close', () => resolve());
            this.socket.close();
        });
    }
}

const say = (step: string, what: Row = {}): void =>
    console.log(JSON.stringify({ step, ...what }));

async function refused(step: string, asked: Promise<unknown>): Promise<void> {
    try {
        await asked;
        say(step, { code: null });
    } catch (e) {
        say(step, { code: (e as { code?: string }).code ?? 'none' });
    }
}

async function main(url: string): Promise<void> {
    const client = await Client.open(url);
    const told: Notification[] = [];
    let wake: (() => void) | undefined;

    const one = async (): Promise<Notification> => {
        while (told.length === 0) {
            await new Promise<void>((resolve) => { wake = resolve; });
        }
        return told.shift()!;
    };

    const id = await client.subscribe('users', (n) => {
        told.push(n);
        wake?.();
    });

    const { data } = await client.request('create', 'users',
        { data: { name: 'Cid', status: 'active' } });
    const row = data as { id: number; name: string };
    say('create', { name: row.name });
    say('told of the create', { operation: (await one()).operation });

    const read = await client.request('read', 'users',
        { record_id: String(row.id) });
    say('read one', { name: (read.data as Row).name, total:
                      read.metadata?.total });

    await client.request('update', 'users',
        { record_id: String(row.id), data: { name: 'Dea' } });
    say('told of the update', { name: (await one()).data.name });

    await client.request('delete', 'users', { record_id: String(row.id) });
    say('told of the delete',
        { same: (await one()).data.id === String(row.id) });

    say('ping', { pong: (await client.ping()).id !== undefined });

    await refused('no such entity', client.request('read', 'cars'));
    await refused('delete one that is gone', client.request('delete', 'users',
        { record_id: String(row.id) }));

    await client.unsubscribe(id);
    await refused('unsubscribe again', client.unsubscribe(id));
    await client.close();
    say('closed');
}

main(process.argv[2]).catch((e) => { console.error(e); process.exit(1); });
