#!/usr/bin/env python3
"""Writes the seeds of the json, publish, bus_codec, rest, where and jwt targets."""

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


REST = {
    'plain': '7\n\n{}',
    'filters': '../../secret\ntenant\n{"filters":[{"column":"a","operator":'
               '"in","value":[1,"b,c"]},{"column":"b&c","operator":"ilike",'
               '"value":"%x_\\\\%"}]}',
    'group': '%26admin=1\n\n{"filters":[{"column":"a","operator":"eq","value":'
             '"1)"},{"column":"b","operator":"gt","value":2,'
             '"logic_operator":"OR"}]}',
    'rest': 'a b\nt\n{"columns":["a","b"],"sort":[{"column":"a","direction":'
            '"desc"}],"limit":2,"offset":0}',
}

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
             '"since":"01234567-89ab-8000-8000-000000000011"}',
    'ignored': '{"type":"subscribe","filter":{"entitytype":"order",'
               '"action":"x"},"Since":"now"}',
    'now': '{"type":"subscribe","filter":{},"since":"now"}',
    'first': '{"type":"subscribe","filter":{},"since":"first","id":""}',
    'snapshot': '{"type":"subscribe","filter":{},"snapshot":true}',
    'where': '{"type":"subscribe","filter":{},"where":[]}',
    'beside': '{"type":"subscribe","filter":{"kind":"k"},"where":[ {"column":'
              '"a.b","operator":"in","value":[1,"\\u00e9",null]},{"column":'
              '"c","operator":"ilike","value":"x%","logic_operator":"OR"}]}',
    'inside': '{"type":"subscribe","filter":{"where":[{"column":"a","operator"'
              ':"gt","value":9007199254740993}],"kind":"k"}}',
    'unsubscribe': '{"type":"unsubscribe","subscription_id":"sub_1"}',
    'ping': '{"type":"ping","x":[]}',
    'request': '{"type":"request","id":"1"}',
    'update': '{"type":"request","id":"1","operation":"update",'
              '"entity_type":"order","entity_id":7,"schema":"s","data":'
              '{"a":[1.0,{"b":1,"b":"\\u0000"}]},"options":{"limit":1}}',
    'auth': '{"type":"auth","token":"eyJ.e30.\\u0041","id":"2"}',
    'unknown': r'{"type":"\u0070ong"}',
    'wrong': '{"type":"subscribe","filter":{"entity_id":""}}',
    'no-json': 'ping',
}



def cond(column, op, value, logic=''):
    if logic:
        logic = f',"logic_operator":"{logic}"'
    return f'{{"column":"{column}","operator":"{op}","value":{value}{logic}}}'


WHERE = {
    'eq': '[' + cond('a', 'eq', '1') + ']\n{"a":1.0}\n{"a":"2"}',
    'text': '[' + cond('a', 'eq', '"\\u0031.0"') + ']\n{"a":"1.0"}\n{"a":1}',
    'in': '[' + cond('a', 'in', '[1,1.0,"1",null,true]') + ']\n{"a":"1"}\n'
          '{"a":true}',
    'ands': '[' + cond('a', 'eq', '"open"') + ',' + cond('n.m', 'gt', '5')
            + ']\n{"a":"open","n":{"m":6},"n":{"m":7}}\n{"a":"open"}',
    'ors': '[' + cond('a', 'eq', '1') + ',' + cond('b', 'lte', '-0.5', 'OR')
           + ',' + cond('c', 'neq', 'false') + ']\n{"b":-1,"c":true}\n{"c":0}',
    'like': '[' + cond('a', 'like', '"x%_y"') + ','
            + cond('a', 'ilike', '"X%Y"') + ']\n{"a":"x\\ud83d\\ude00y"}\n'
            '{"\\u0061":"xy"}',
    'never': '[' + cond('a', 'in', '[]') + ',' + cond('b', 'eq', '1')
             + ']\n{"a":1}',
    'deep': '[' + cond('a.b.c.d.e.f.g.h', 'neq', '0') + ']\n'
            '{"a":{"b":{"c":{"d":{"e":{"f":{"g":{"h":1}}}}}}}}',
    'numbers': '[' + cond('a', 'gte', '1e400') + ','
               + cond('b', 'lt', '-1e-99999999999999999999') + ']\n'
               '{"a":10e399,"b":-1}\n{"a":1e9999999999999999999}',
    'deleted': '[' + cond('id', 'eq', '17') + ']\n\n{"id":17}',
    'odd': '[' + cond('a', 'gt', '""') + ']\n{"a":"\\ud800\\u0000"}\n[1]',
    'wrong': '[' + cond('a..b', 'eq', '1') + ']\n{}',
}

HEADER = '{"alg":"HS256","typ":"JWT"}'

JWT = {
    'claims': f's{HEADER}\n' '{"exp":1001,"nbf":1,"iss":"a","aud":["x","b"],'
              '"sub":"u","a":{"b":[1,"c",true]},"n":1.5e3}',
    'text': f's{HEADER}\n' r'{"exp":2e9,"a":"\u00e9\n","b":["x,y"],"c.d":null}',
    'deep': f's{HEADER}\n' '{"a":' + '[' * 16 + ']' * 16 + '}',
    'nul': f's{HEADER}\n' r'{"sub":"a\u0000b"}',
    'twice': f's{HEADER}\n' r'{"sub":"a","s\u0075b":"b"}',
    'array': f's{HEADER}\n[]',
    'crit': 's{"alg":"HS256","crit":["b64"],"b64":false}\n{}',
    'none': 's{"alg":"none"}\n{}',
    'kid': 's{"alg":"HS256","kid":"k","alg ":1}\n{"exp":0.1e99999999999}',
    'no-kid': 's{"alg":"ES256"}\n{}',
    'dots': '..',
    'long': 'eyJ' * 1000,
    'es256': 'eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkz'
             'ODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3lj'
             'bEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKT'
             'UJqPP3-Kg6NU1Q',
    'es256-changed': 'eyJhbGciOiJFUzI1NiJ9.e30.DtEhU3ljbEg8L38VWAfUAqOyKAM6-'
             'Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q',
    'key-secret': 'k0123456789abcdef0123456789abcdef\n',
    'key-oct': 'k{"kty":"oct","kid":"1","alg":"HS256","k":"MDEyMzQ1Njc4OWFiY2R'
               'lZjAxMjM0NTY3ODlhYmNkZWY"}',
    'key-set': 'k{"keys":[{"kty":"OKP","crv":"Ed25519","use":"sig","key_ops":['
               '"verify"],"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},'
               '{"kty":"EC","crv":"P-256","kid":"e","x":"f83OJ3D2xF1Bg8vub9tLe'
               '1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCySti'
               'kYjKIWI5a0"},{"kty":"new"}]}',
    'key-rsa': 'k{"kty":"RSA","n":"AQAB","e":"AQAB"}',
    'key-pem': 'k-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7Ty'
               'WQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n',
    'key-private': 'k-----BEGIN PRIVATE KEY-----\nAAAA\n'
                   '-----END PRIVATE KEY-----\n',
}

CHANGED = '{"ConfigChanged":{"tenant_id":"a","change_type":"created"}}'

TENANT = {
    'ping': '\0"Ping"',
    'ping-object': '\0{"Ping":null}',
    'ping-escaped': '\0"P\\u0069ng"',
    'pong': '\0"Pong"',
    'changed': '\0' + CHANGED,
    'two': '\0{"Ping":null,"x":1}',
    'no-json': '\0Ping',
    'args': '\1x=%zz&tenant_id=a%20b+c%c3%a9&y',
    'name': '\1tenant%5fid=acme',
    'twice': '\1tenant_id=a&tenant%5Fid=b',
    'empty': '\1tenant_id&',
    'nul': '\1tenant_id=a%00b',
    'no-utf8': '\1tenant_id=%ed%a0%80',
    'wrong': '\1tenant_id=a%4',
}

save('json_fuzz', JSON)
save('publish_fuzz', PUBLISH)
save('bus_codec_fuzz', CODEC)
save('tenant_codec_fuzz', TENANT)
save('where_fuzz', WHERE)
save('jwt_fuzz', JWT)
save('rest_fuzz', REST)
