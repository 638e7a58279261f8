# SPDX-License-Identifier: BSD-2-Clause
# Snapshots: what there is first, then every change from exactly there.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json encode_json true false);
use Test::More;

use WSBus::Backend;
use WSBus::Client;
use WSBus::Nginx;
use WSBus::Stream;

my $backend = WSBus::Backend->start;
my $rest    = '127.0.0.1:' . $backend->rest;
my $odd     = '127.0.0.1:' . $backend->raw;

my $nginx = WSBus::Nginx->new(workers => 2, fixed_workers => 1,
    http => <<"END")->start;
    ws_bus_zone zone=events:8m;
    ws_bus_zone zone=small:2m history=64k;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_cache_path %%PREFIX%%/cache keys_zone=snapshots:1m;

    server {
        listen 127.0.0.1:%%PORT1%%;
        default_type application/json;
        location / { return 200 '[{"id":1,"line":"\$request_uri","n":1},
            {"id":2,"line":"\$request_uri","n":2},{"id":3,"n":3}]'; }
        location /list/orders/7 { return 200 '{"id":7,"n":7}'; }
    }

    server {
        listen 127.0.0.1:%%PORT%% reuseport;
        ws_bus_capture_old history;

        location = /publish       { ws_bus_publish events; }
        location = /small/publish { ws_bus_publish small; }
        location = /status        { ws_bus_status; }
        location = /none          { ws_bus events; }

        location = /ws     { ws_bus events; ws_bus_backend /rest/\$ws_bus_entity; }
        location = /held   { ws_bus events; ws_bus_backend /odd;
                             ws_bus_call_timeout 5s; }
        location = /large  { ws_bus events; ws_bus_backend /odd;
                             ws_bus_call_max_body 8m; }
        location = /events { ws_bus_events events; ws_bus_backend /odd; }
        location = /small  { ws_bus small; ws_bus_backend /odd; }
        location = /only   { ws_bus events; ws_bus_snapshot /list/\$ws_bus_entity; }
        location = /echo   { ws_bus events; ws_bus_backend /list/\$ws_bus_entity; }
        location = /mine   { ws_bus events; ws_bus_backend /list/\$ws_bus_entity;
                             ws_bus_restrict owner eq me; }
        location = /cached { ws_bus events; ws_bus_snapshot /cached/\$ws_bus_entity; }
        location = /hooked { ws_bus events; ws_bus_backend /list/\$ws_bus_entity;
                             ws_bus_hook before_read /refuse; }
        location = /team   { ws_bus events; ws_bus_snapshot /cached/\$ws_bus_entity;
                             ws_bus_audience team; }

        location /rest/ { internal; proxy_pass http://$rest/; }
        location = /odd { internal; proxy_pass http://$odd;
                          proxy_set_header X-Reply held; }
        location /list/ { internal; proxy_pass http://127.0.0.1:%%PORT1%%; }
        location = /refuse { internal; return 403; }
        location /cached/ {
            internal;
            proxy_pass http://$odd;
            proxy_set_header X-Reply cached;
            proxy_cache snapshots;
            proxy_cache_key "\$ws_bus_audience \$ws_bus_snapshot_version \$uri\$is_args\$args";
            proxy_cache_valid 200 1h;
            proxy_cache_lock on;
        }
        location /api/ { proxy_pass http://$rest/; ws_bus_capture events; }
        location /part/ { proxy_pass http://$odd; ws_bus_capture events;
                          proxy_set_header X-Reply part;
                          ws_bus_capture_data request; }
        location /lost/ { proxy_pass http://$odd; proxy_read_timeout 500ms;
                          proxy_set_header X-Reply lost;
                          ws_bus_capture events; }
    }
END

my $c = WSBus::Client->new($nginx);

sub event {
    my ($action, $id, $data, %o) = @_;
    return $c->publish({ entity_type => 'orders', entity_id => "$id",
        action => $action, ($data ? (data => $data) : ()), %o });
}

sub of { return { entity_type => $_[0] // 'orders' } }

sub live {
    my ($path, $filter, %more) = @_;
    my $ws  = $c->open($path);
    my $got = $ws->subscribe($filter, snapshot => true, %more);
    return ($ws, $got);
}

sub ids { join ' ', map { $_->{id} } @{ $_[0]{data} } }

# what there is

$c->request(POST => '/api/orders', encode_json({ id => "a$_", n => $_ }),
    'Content-Type' => 'application/json') for 1 .. 3;

my ($ws, $sub) = live('/ws', of());
my $snap = $ws->wait_type('snapshot');

is($sub->{type}, 'subscribed', 'a subscribe is answered');
is($snap->{subscription_id}, $sub->{subscription_id}, 'then comes its snapshot');
is(ids($snap), 'a1 a2 a3', 'with all rows');
is($snap->{metadata}{count}, 3, 'and their number');
ok($snap->{last_id} ge $sub->{last_id}, 'at a position');

$c->request(PATCH => '/api/orders/a2', '{"n":20}',
    'Content-Type' => 'application/json');

my $ev = $ws->wait_type('event');
is($ev->{data}{event}{entity_id}, 'a2', 'then its changes');
ok($ev->{data}{id} gt $snap->{last_id}, 'behind the position');

# of one entity

($ws, $sub) = live('/ws', { %{ of() }, entity_id => 'a2' });
$snap = $ws->wait_type('snapshot');
is($snap->{data}{n}, 20, 'a snapshot of one entity is its row');
($ws, $sub) = live('/ws', { %{ of() }, entity_id => 'nobody' });
$snap = $ws->wait_type('snapshot');
ok(exists $snap->{data} && !defined $snap->{data}, 'one that is not there is null');

# events while the backend is asked come behind the answer, once

sub held { $backend->leave('held', $WSBus::Backend::HOLD
                           . WSBus::Backend::bytes(200, $_[0])) }

held('[{"id":"x"}]');
($ws, $sub) = live('/held', of());
WSBus::Nginx::await(sub { $backend->got('held') });
event('created', "e$_", { n => $_ }) for 1 .. 5;
$backend->go('held');
my @seq;
push @seq, $ws->next for 1 .. 6;
is(join(' ', map { $_->{type} } @seq), 'snapshot' . ' event' x 5,
   'events that came meanwhile come behind the snapshot');
is(join(' ', map { $_->{data}{event}{entity_id} } @seq[1 .. 5]),
   'e1 e2 e3 e4 e5', 'all of them, in order');
is(scalar(grep { $_->{type} eq 'event' } $ws->sync), 0, 'and none twice');

# unsubscribe, and close, meanwhile

held('[]');
($ws, $sub) = live('/held', of());
WSBus::Nginx::await(sub { $backend->got('held') });
is($ws->ask({ type => 'unsubscribe', subscription_id => $sub->{subscription_id} })
     ->{type}, 'unsubscribed', 'one that waits can be ended');
$backend->go('held');
is(scalar($ws->sync), 0, 'and is told nothing more');

held('[]');
($ws, $sub) = live('/held', of());
WSBus::Nginx::await(sub { $backend->got('held') });
$ws->finish;
$backend->go('held');

# failures

$backend->leave('held', WSBus::Backend::bytes(503, '{}', headers =>
    [ 'Content-Type' => 'application/json', 'Retry-After' => 7 ]));
($ws, $sub) = live('/held', of(), id => 'q');
my $err = $ws->wait_type('error');
is_deeply([ @$err{qw(code reason status retry_after subscription_id id)} ],
          [ 'snapshot_failed', 'read_error', 503, 7, $sub->{subscription_id}, 'q' ],
          'a failure says of what, and why');
event('created', 'after', { n => 1 });
is($ws->wait_type('event')->{data}{event}{entity_id}, 'after',
   'the subscription goes on');
$backend->leave('held', WSBus::Backend::bytes(200, '[{"id":"now"}]'));
$ws->send({ type => 'snapshot', subscription_id => $sub->{subscription_id} });
is(ids($ws->wait_type('snapshot')), 'now', 'and it can be asked for again');

is($ws->ask({ type => 'snapshot', subscription_id => 'sub_99' })->{code},
   'not_found', 'of a subscription that there is');
my $plain = $ws->subscribe(of('other'));
is($ws->ask({ type => 'snapshot', subscription_id => $plain->{subscription_id} })
     ->{code}, 'bad_snapshot', 'and that has one');

($ws, $sub) = live('/none', of());
is($ws->wait_type('error')->{code}, 'snapshot_failed', 'without a backend it fails');
event('created', 'none', { n => 1 });
is($ws->wait_type('event')->{data}{event}{entity_id}, 'none', 'and goes on, too');

for ([ {} ], [ { entity_type => [ 'a', 'b' ] } ],
     [ { entity_type => 'a', entity_id => [ 1, 2 ] } ],
     [ { entity_type => 'a', kind => 'link' } ],
     [ of(), options => { filters => [] } ])
{
    my ($filter, @more) = @$_;
    is($ws->subscribe($filter, snapshot => true, @more)->{code}, 'bad_snapshot',
       'bad_snapshot: ' . encode_json([ @$_ ]));
}
is($ws->subscribe(of(), options => { limit => 1 })->{code}, 'bad_snapshot',
   'options without a snapshot mean nothing');
is($ws->subscribe(of(), snapshot => 'yes')->{code}, 'invalid_message',
   'snapshot is true or false');

# conditions: to the backend as far as it can be asked, else judged here

sub line {
    my ($path, %more) = @_;
    my ($w) = live($path, of(), %more);
    my $s = $w->wait_for(sub { $_->{type} =~ /^(?:snapshot|error)$/ });
    my ($row) = @{ $s->{data} // [] };
    return wantarray ? ($row->{line}, $s) : $row->{line} // encode_json($s);
}

sub cond { return { column => $_[0], operator => $_[1], value => $_[2], @_[3 .. $#_] } }

is(line('/echo', where => [ cond('n', 'gte', 1) ],
        options => { columns => [ 'id', 'n' ], sort => [ { column => 'n' } ], limit => 5 }),
   '/list/orders?n%5Bgte%5D=1&fields=id,n&sort=n&limit=5',
   'conditions, columns, sort and limit go to the backend');
is(line('/only'), '/list/orders', 'snapshots may have a location of their own');
is(line('/mine'), '/list/orders?owner=me', 'what is forced goes with them');

my ($line, $s) = line('/echo', where => [ cond('n', 'eq', 1),
                                          cond('n', 'eq', 3, logic_operator => 'OR') ]);
is($line, '/list/orders', 'what the style cannot say is not asked');
is(ids($s), '1 3', 'and judged here');
is($s->{metadata}{total}, 2, 'and counted');

($line, $s) = line('/mine', where => [ cond('owner', 'eq', 'you'), cond('n', 'lt', 3) ]);
is(ids($s), '', 'a condition beside a forced one is judged here');
is_deeply($s->{data}, [], 'of which nobody is told more');

($line, $s) = line('/echo', where => [ cond('a.b', 'eq', 1) ], options => { limit => 1 });
is($s->{reason}, 'invalid_message', 'a limit needs a backend that judges all');

$backend->leave('held', WSBus::Backend::bytes(200,
    '[' . join(',', ('{"t":"aaaaaaaaaaaaaaaa"}') x 120_000) . ']'));
($line, $s) = line('/large', where => [ cond('t', 'ilike', '%a%b'),
    map { cond('t', 'ilike', "%a%b$_", logic_operator => 'OR') } 1 .. 15 ]);
is($s->{reason}, 'too_large', 'what is judged here is bounded');

($ws, $sub) = live('/echo', { %{ of() }, entity_id => 7 }, where => [ cond('n', 'eq', 8) ]);
$snap = $ws->wait_type('snapshot');
ok(exists $snap->{data} && !defined $snap->{data},
   'the row of one entity is judged here');

($line, $s) = line('/hooked');
is($s->{reason}, 'hook_error', 'a hook that refuses to read refuses the snapshot');

# since and snapshot

my (undef, $answer) = event('created', 'one', { n => 1 });
my $last = $answer->{last_id};
event('created', 'two', { n => 2 });
($ws, $sub) = live('/ws', of(), since => $last);
is($sub->{recovered}, true, 'what can be resumed');
is($ws->next->{data}{event}{entity_id}, 'two', 'is, by its events');
is(scalar(grep { $_->{type} eq 'snapshot' } $ws->sync), 0, 'without a snapshot');

(my $other = $last) =~ s/^....../abcdef/;
($ws, $sub) = live('/ws', of(), since => $other);
is($sub->{recovered}, false, 'what cannot');
is($ws->next->{type}, 'gap', 'has a gap');
is(ids($ws->wait_type('snapshot')), 'a1 a2 a3', 'and a snapshot');
is(scalar(grep { $_->{type} eq 'event' } $ws->sync), 0, 'in the place of the history');

# nobody knows

($ws, $sub) = live('/ws', of());
$ws->wait_type('snapshot');
my $dull = $c->open('/ws');
$dull->subscribe(of(), since => 'now');
$backend->leave('lost', $WSBus::Backend::HOLD . WSBus::Backend::bytes(200, '{}'));
$c->request(PUT => '/lost/orders/a1', '{}', 'Content-Type' => 'application/json');
is($ws->wait_type('gap')->{reason}, 'unknown', 'a mutation that nobody can tell is a gap');
is(ids($ws->wait_type('snapshot')), 'a1 a2 a3', 'then comes a snapshot by itself');
$dull->wait_type('gap');
is(scalar(grep { $_->{type} eq 'snapshot' } $dull->sync), 0, 'to who has one');
$backend->go('lost');

# should that fail, it is told and asked again, and no event comes before it

$backend->leave('held', WSBus::Backend::bytes(200, '[]'));
my ($firm) = live('/held', of());
$firm->wait_type('snapshot');
$backend->leave('held', WSBus::Backend::bytes(503, '{}'));
$backend->leave('lost', $WSBus::Backend::HOLD . WSBus::Backend::bytes(200, '{}'));
$c->request(PUT => '/lost/orders/a1', '{}', 'Content-Type' => 'application/json');
$firm->wait_type('gap');
event('created', 'later', { n => 1 });
my $told = $firm->next;
is($told->{code}, 'snapshot_failed', 'another snapshot that fails is told');
$backend->leave('held', WSBus::Backend::bytes(200, '[{"id":"right"}]'));
is(ids($firm->wait_for(sub { $_->{type} =~ /snapshot|event/ }, 20)), 'right',
   'and asked again, before any event');
$backend->go('lost');
$dull->sync;

# rows of which nobody knows what they were

my @where = (where => [ cond('n', 'eq', 1) ]);
($ws, $sub) = live('/echo', of('things'), @where);
$ws->wait_type('snapshot');
my ($range) = live('/echo', of('things'), where => [ cond('n', 'lt', 2) ]);
$range->wait_type('snapshot');
$dull->subscribe(of('things'), @where);
my ($mine) = live('/mine', of('things'), where => [ cond('n', 'eq', 1) ]);
$mine->wait_type('snapshot');
$c->publish({ entity_type => 'things', entity_id => 'u', action => 'updated', data => { n => 2 } });
for ([ value => $ws ], [ range => $range ]) {
    my ($got) = grep { $_->{type} eq 'event' } $_->[1]->sync;
    is($got->{change}, 'left', "$_->[0]: an unknown row that does not match may have left");
    ok(!exists $got->{data}{event}{data}, 'without data');
}
is(scalar(grep { $_->{type} eq 'event' } $dull->sync), 0,
   'who has no snapshot is not told');
is($mine->wait_for(sub { $_->{type} =~ /snapshot|event/ })->{type}, 'snapshot',
   'with forced conditions there is a snapshot instead');
$c->publish({ entity_type => 'things', entity_id => 'u', action => 'updated', data => { n => 3 } });
is(scalar(grep { $_->{type} eq 'event' } $ws->sync), 0, 'a row that is known did not');

# a part of a row that is not known: nobody knows the new one either

$backend->leave('part', WSBus::Backend::bytes(200, '{}'));
$c->request(PATCH => '/part/things/v', '{"m":1}', 'Content-Type' => 'application/json');
is($ws->wait_for(sub { $_->{type} =~ /snapshot|event/ })->{type}, 'snapshot',
   'a part of an unknown row: another snapshot');

# evicted while the backend was asked

held('[{"id":"late"}]');
my ($slow) = live('/small', of());
WSBus::Nginx::await(sub { $backend->got('held') });
my $big = 'x' x 2000;
$c->request(POST => '/small/publish', encode_json({ entity_type => 'o',
    entity_id => "$_", action => 'created', data => { big => $big } }),
    'Content-Type' => 'application/json') for 1 .. 60;
my $asked = $backend->got('held');
$backend->leave('held', WSBus::Backend::bytes(200, '[{"id":"fresh"}]'));
$backend->go('held');
is(ids($slow->wait_type('snapshot')), 'fresh', 'it is asked for again');

# one for many

sub cached { $backend->leave('cached', WSBus::Backend::bytes(200, $_[0], headers =>
    [ 'Content-Type' => 'application/json' ])) }

cached('[{"id":"first"}]');
for my $i (1 .. 20) {
    my ($w) = live('/cached', of('lists'));
    is(ids($w->wait_type('snapshot')), 'first', "client $i has it") if $i % 10 == 0;
    $w->wait_type('snapshot') if $i % 10;
}
is($backend->got('cached'), 1, '20 of them cost one request');
my ($one) = live('/cached', of('lists'));
my $before = $one->wait_type('snapshot');
cached('[{"id":"second"}]');
$c->publish({ entity_type => 'unrelated', entity_id => '1', action => 'updated', data => {} });
$c->publish({ entity_type => 'lists', entity_id => '1', action => 'shipped' });
my ($w) = live('/cached', of('lists'));
is(ids($w->wait_type('snapshot')), 'second', 'after an event none has the old one');
is($backend->got('cached'), 1, 'which costs one request');

my $agent = $c->open('/cached', 'User-Agent' => 'another/1.0');
cached('[{"id":"none"}]');
$agent->subscribe(of('lists'), snapshot => true);
is(ids($agent->wait_type('snapshot')), 'second',
   'which program asks makes no difference');

cached('[{"id":"third"}]');
my $tx = $c->open('/cached', Authorization => 'Bearer other');
$tx->subscribe(of('lists'), snapshot => true);
is(ids($tx->wait_type('snapshot')), 'third', 'another user has an answer of its own');
my ($t1) = live('/team', of('lists'));
my $t2 = $c->open('/team', Authorization => 'Bearer x');
is(ids($t1->wait_type('snapshot')), 'third', 'ws_bus_audience');
cached('[{"id":"fourth"}]');
$t2->subscribe(of('lists'), snapshot => true);
is(ids($t2->wait_type('snapshot')), 'third', 'widens that');

# over HTTP: no id that a browser could come back with, before the snapshot

$backend->leave('held', WSBus::Backend::bytes(200, '[{"id":"sse"}]'));
my $stream = WSBus::Stream->open($nginx->port, '/events?entity_type=orders&snapshot=1');
is($stream->next('subscribed')->{id}, '', 'a stream begins with an empty id');
like($stream->next('snapshot')->{id}, qr/^[0-9a-f-]{36}\z/, 'and has one with the snapshot');
is((($c->get('/events?entity_type=orders&snapshot=1&wait=0'))[0]), 400,
   'an answer with wait has no snapshot');

done_testing();
