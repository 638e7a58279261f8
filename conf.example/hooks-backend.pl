#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A backend that decides, for hooks.conf: perl hooks-backend.pl daemon -l http://127.0.0.1:3000

use Mojolicious::Lite -signatures;

my @notes;

# Everything that is asked before it is done.
post '/hooks' => sub ($c) {
    my $hook = $c->req->json;

    if ($hook->{phase} eq 'before_connect') {
        my $user = $c->param('user') // '';

        # here you would look up a session, or a token
        return $c->render(json => { detail => 'who are you?' }, status => 401)
            if $user !~ /\A[a-z]+\z/;

        return $c->render(json => { metadata => { user => $user } });
    }

    if ($hook->{phase} eq 'before_create') {
        my $note = $hook->{data};

        return $c->render(json => { detail => 'a note must have a text' }, status => 422)
            if ref $note ne 'HASH' || !length($note->{text} // '');

        return $c->render(json => { data => { %$note, owner => $hook->{metadata}{user} } });
    }

    return $c->rendered(204);
};

# Who has come and gone: a list. What is told again after a failure has the same id; a real backend forgets ids after a day.
my (%told, %here);

post '/presence' => sub ($c) {
    for my $notice (@{ $c->req->json }) {
        next if $told{ $notice->{id} }++;
        $here{ $notice->{user} } += $notice->{phase} eq 'after_connect' ? 1 : -1;
    }

    return $c->rendered(204);
};

get '/online' => sub ($c) {
    return $c->render(json => [ sort grep { $here{$_} > 0 } keys %here ]);
};

post '/notes' => sub ($c) {
    my $note = { %{ $c->req->json }, id => 1 + @notes };
    push @notes, $note;
    return $c->render(json => $note, status => 201);
};

# A condition that it passed over would show what was not asked for.
get '/notes' => sub ($c) {
    my $query = $c->req->params->to_hash;
    return $c->render(json => [
        grep { my $note = $_; !grep { ($note->{$_} // '') ne $query->{$_} } keys %$query } @notes
    ]);
};

app->start;
