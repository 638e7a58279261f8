#!/usr/bin/env python3
"""Writes the seeds of the json, publish and bus_codec targets."""

import os

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'corpus')


def save(target, seeds, prefix=b''):
    folder = os.path.join(TOP, target)
    os.makedirs(folder, exist_ok=True)
    for name, text in seeds.items():
        if isinstance(text, str):
            text = text.encode()
        with open(os.path.join(folder, name), 'wb') as f:
            f.write(prefix + text)


UUID = '0123ABCD-4567-89ef-0123-456789abcdef'

ORDER = ('"action":"created","entity_type":"order","entity_id":"o-1",'
         '"data":{"n":9007199254740993,"f":1.0,"s":"é\\u0041"}')

LINK = ('"kind":"link","action":"created","link_type":"has","link_id":1,'
        '"source_id":"' + UUID + '","target_id":"t","metadata":null')

JSON = {
    'scalars': '[null,true,false,0,-0,1.5e-3,-12E+2,"",{},[]]',
    'strings': r'["\"\\\/\b\f\n\r\t","\u00e9\ud83d\ude00","é😀","\u0000",'
               r'"\ud800"]',
    'numbers': '[9007199254740993,1e400,0.1,123456789012345678901234567890]',
    'repeated': r'{"a":1,"\u0061":2,"b":{"c":1,"c":2}}',
    'nested': '[[[[{"a":[{"b":{}}]}]]]]',
    'blanks': ' {\n\t"a" :\r [ 1 , 2 ] } ',
    'members': '{' + ','.join(f'"k{i}":{i}' for i in range(65)) + '}',
    'deep': '[' * 513 + ']' * 513,
    'wrong': '{"a":01,}',
    'no-utf8': b'["\xc3\x28\xff"]',
}

PUBLISH = {
    'entity': '\0{' + ORDER + '}',
    'array': '\0[{' + ORDER + '},{' + LINK + '}]',
    'lines': '\1{' + ORDER + '}\r\n\n{' + LINK + '}\n',
    'tenant': '\2{' + ORDER + ',"tenant":"acme","origin":"me"}',
    'small': '\4[{' + ORDER + '},{' + LINK + '}]',
    'envelope': '\0{"id":"x","timestamp":"2026-01-02T03:04:05.678Z",'
                '"event":{' + ORDER + '}}',
    'fields': '\0{' + ORDER + ',"old":{"a":1},"schema":"public","section":'
              '"main","timestamp":"2016-12-31T23:59:60+00:00","metadata":[],'
              '"kind":"entity","event_type":"created"}',
    'escapes': r'''{"\u0061ction":"\n\"","entity_type":"\ud83d\ude00",'''
               r'''"entity_id":-17,"data":"\u0000"}''',
    'repeated': '\0{' + ORDER + ',"action":"created"}',
    'broken': '\0[{' + ORDER + '},{"a":[1,}]',
}
PUBLISH['escapes'] = '\0' + PUBLISH['escapes']

CODEC = {
    'all': '{"type":"subscribe","filter":{}}',
    'filter': '{"type":"subscribe","filter":{"entity_type":"order",'
              '"event_type":["created","deleted"],"kind":"entity",'
              '"entity_id":["' + UUID + '",17,"{' + UUID + '}"]},"id":"1"}',
    'since': '{"type":"subscribe","filter":{"kind":null},'
             '"since":"0123456789ab-17"}',
    'now': '{"type":"subscribe","filter":{},"since":"now"}',
    'first': '{"type":"subscribe","filter":{},"since":"first","id":""}',
    'snapshot': '{"type":"subscribe","filter":{},"snapshot":true}',
    'where': '{"type":"subscribe","filter":{},"where":[]}',
    'unsubscribe': '{"type":"unsubscribe","subscription_id":"sub_1"}',
    'ping': '{"type":"ping","x":[]}',
    'request': '{"type":"request","id":"1"}',
    'unknown': r'{"type":"\u0070ong"}',
    'wrong': '{"type":"subscribe","filter":{"entity_id":""}}',
    'no-json': 'ping',
}

save('json_fuzz', JSON)
save('publish_fuzz', PUBLISH)
save('bus_codec_fuzz', CODEC)
