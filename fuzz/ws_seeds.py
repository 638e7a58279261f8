#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes the seeds of the ws targets into fuzz/corpus."""

import os
import struct
import zlib

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'corpus')


def save(target, name, data):
    folder = os.path.join(TOP, target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), 'wb') as f:
        f.write(data)


def frame(first, payload, mask=b'\0\0\0\0'):
    n = len(payload)
    if n < 126:
        head = bytes([first, 0x80 | n])
    elif n < 65536:
        head = bytes([first, 0xfe]) + struct.pack('>H', n)
    else:
        head = bytes([first, 0xff]) + struct.pack('>Q', n)
    return head + mask + bytes(c ^ mask[i % 4] for i, c in enumerate(payload))


def deflated(data, level=6, bits=15):
    z = zlib.compressobj(level, zlib.DEFLATED, -bits)
    return (z.compress(data) + z.flush(zlib.Z_SYNC_FLUSH))[:-4]


JSON = b'{"type":"order.updated","data":{"id":1,"name":"M\xc3\xbcller"}}'
HELLO = deflated(b'Hello')

FRAMES = {
    'text': frame(0x81, b'Hello'),
    'masked': frame(0x81, b'Hello, masked', b'\x37\xfa\x21\x3d'),
    'binary-126': frame(0x82, bytes(range(126))),
    'binary-65536': frame(0x82, b'')[:1] + b'\xff' + struct.pack('>Q', 65536),
    'fragments': frame(0x01, b'\xc3') + frame(0x89, b'ping')
    + frame(0x00, b'\xbc') + frame(0x80, b'!') + frame(0x8a, b''),
    'close': frame(0x88, b'\x03\xe8bye \xe2\x82\xac'),
    'close-half': frame(0x88, b'\x03'),
    'bad-utf8': frame(0x81, b'abc\xed\xa0\x80'),
    'deflate': frame(0xc1, HELLO) + frame(0xc2, HELLO),
    'deflate-fragments': frame(0x41, HELLO[:3]) + frame(0x8a, b'p')
    + frame(0x80, HELLO[3:]),
    'deflate-final': frame(0xc1, b'\xf3\x48\xcd\xc9\xc9\x07\x00\x00'),
    'deflate-context': frame(0xc1, HELLO)
    + frame(0xc1, b'\xf2\x00\x11\x00\x00'),
    'deflate-bomb': frame(0xc2, deflated(b'*' * 200000, 9)),
    'too-big': frame(0x02, b'*' * 600) + frame(0x80, b'*' * 401),
    'long-form': b'\x82\xfe\x00\x05\0\0\0\0Hello',
}

for name, data in FRAMES.items():
    how = {'binary-65536': 0, 'too-big': 8}.get(name, 0)
    save('ws_frame_fuzz', name, bytes([how, len(data) % 32]) + data)

UTF8 = {
    'ascii': b'0123456789 abcdefghijklmnopqrstuvwxyz',
    'kosme': '\u03ba\u1f79\u03c3\u03bc\u03b5'.encode(),
    'edges': '\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff'
             '\U00010000\U0010ffff'.encode(),
    'surrogate': b'\xed\xa0\x80',
    'overlong': b'\xe0\x80\xaf',
    'above': b'\xf4\x90\x80\x80',
    'part': b'12345678\xf0\x9f\x98',
}

for name, data in UTF8.items():
    save('ws_utf8_fuzz', name, bytes([len(data) % 8]) + data)

INFLATE = {
    'hello': HELLO,
    'json': deflated(JSON * 5),
    'stored': b'\x00\x05\x00\xfa\xffHello\x00',
    'final': b'\xf3\x48\xcd\xc9\xc9\x07\x00\x00',
    'two-blocks': b'\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00',
    'dynamic': deflated(bytes(i * i % 251 % 7 for i in range(700)), 9),
    'bomb': deflated(b'*' * 70000, 9),
}

for name, data in INFLATE.items():
    save('ws_deflate_fuzz', name, b'\x40\x05' + data)

for bits in (8, 9, 15):
    save('ws_deflate_fuzz', 'json-%d' % bits,
         bytes([0x80 + bits - 8, 5]) + JSON * 12)

OFFERS = {
    'chrome': 'permessage-deflate; client_max_window_bits',
    'full': 'permessage-deflate; server_no_context_takeover; '
            'client_no_context_takeover; server_max_window_bits=10; '
            'client_max_window_bits=15',
    'several': 'foo; a="b\\"c", permessage-deflate; server_max_window_bits=7,'
               ' permessage-deflate; server_max_window_bits="9"',
    'list': 'keep-alive, WebSocket ,a',
    'key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'origin': 'http://[2001:db8::1]:8080',
    'origin-pattern': 'https://*.example.com:8443',
}

for name, data in OFFERS.items():
    save('ws_handshake_fuzz', name, data.encode())
