/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hooks in nginx itself, with njs (Debian: libnginx-mod-http-js). In nginx.conf, where /hooks of hooks.conf
 * is a proxy_pass:
 *
 *   load_module modules/ngx_http_js_module.so;
 *
 *   js_import hooks from hooks.js;
 *
 *   location = /hooks {
 *       internal;
 *       js_content hooks.answer;
 *   }
 */

function say(r, status, body) {
    r.headersOut['Content-Type'] = 'application/json';
    r.return(status, JSON.stringify(body));
}

function answer(r) {
    const hook = JSON.parse(r.requestText);

    if (hook.phase === 'before_connect') {
        const user = r.args.user || '';

        if (/^[a-z]+$/.test(user)) {
            say(r, 200, { metadata: { user: user } });
        } else {
            say(r, 401, { detail: 'who are you?' });
        }

        return;
    }

    if (hook.phase === 'before_create') {

        if (!hook.data || typeof hook.data.text !== 'string' || hook.data.text === '') {
            say(r, 422, { detail: 'a note must have a text' });
            return;
        }

        say(r, 200, { data: Object.assign({}, hook.data, { owner: hook.metadata.user }) });
        return;
    }

    r.return(204);
}

export default { answer };
