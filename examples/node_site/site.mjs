// A site whose customers sign in through StackBE, on Node alone:
//   STACKBE_URL=http://localhost:8000 STACKBE_APP=app_… STACKBE_KEY=sbk_test_… node site.mjs
// SITE_URL (default http://localhost:3000) + "/callback" must be one of the app's callback URLs.
import { createPublicKey, verify } from "node:crypto";
import { createServer } from "node:http";

const { STACKBE_URL, STACKBE_APP, STACKBE_KEY, SITE_URL = "http://localhost:3000" } = process.env;
const flags = `; Path=/; HttpOnly; SameSite=Lax${SITE_URL.startsWith("https:") ? "; Secure" : ""}`;
const api = (what) => `${STACKBE_URL}/v1/apps/${STACKBE_APP}/${what}`;
const refusal = (status, message) => Object.assign(new Error(message), { status });

async function post(what, body, credential) {
  const headers = { "content-type": "application/json", ...(credential && { authorization: `Bearer ${credential}` }) };
  const reply = await fetch(api(`auth/${what}`), { method: "POST", headers, body: JSON.stringify(body) });
  const answer = reply.status === 204 ? {} : await reply.json();
  if (!reply.ok) throw refusal(reply.status, answer.message);
  return answer;
}

let keys = [], fetched = 0;
async function publicKey(kid) { // one not seen before is asked for, at most every ten seconds
  if (!keys.some((key) => key.kid === kid) && Date.now() - fetched > 10_000) {
    fetched = Date.now();
    keys = (await (await fetch(api(".well-known/jwks.json"))).json()).keys;
  }
  return createPublicKey({ key: keys.find((key) => key.kid === kid), format: "jwk" });
}

async function person(token = "") { // who it is, without asking StackBE; null where the token is not valid now
  try {
    const [head, body, signature] = token.split(".").map((part) => Buffer.from(part, "base64url"));
    const { alg, kid } = JSON.parse(head), claims = JSON.parse(body), now = Date.now() / 1000;
    const signed = Buffer.from(token.slice(0, token.lastIndexOf(".")));
    if (alg !== "EdDSA" || !verify(null, signed, await publicKey(kid), signature)) return null;
    return claims.aud === STACKBE_APP && claims.iss === STACKBE_URL && claims.exp > now ? claims : null;
  } catch { return null; }
}

const cookie = (name, value, age) => `${name}=${encodeURIComponent(value)}; Max-Age=${age}${flags}`;
const keep = (session) => ["sessionToken", "refreshToken"].map((name) => cookie(name, session[name], 30 * 86400));
const forget = (...names) => names.map((name) => cookie(name, "", 0));
const escape = (text) => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
const signInForm = `<form method="post" action="/sign-in"><label>E-mail <input type="email" name="email" required></label>
<button>Send me a link</button></form>`;
const page = (said, email) => `<!doctype html><html lang="en"><title>Notes</title><h1>Notes</h1><p role="status">${escape(said)}</p>`
  + (email ? `<p>Signed in as ${escape(email)}.</p><form method="post" action="/sign-out"><button>Sign out</button></form>` : signInForm);

const routes = {
  "GET /": ({ who }) => ({ body: page("", who?.email) }),
  "GET /me": ({ who }) => who
    ? { type: "application/json", body: JSON.stringify({ customerId: who.sub, email: who.email }) }
    : { status: 401, type: "application/json", body: '{"message": "Sign in first."}' },
  async "POST /sign-in"({ form }) {
    const email = (form.get("email") ?? "").trim();
    await post("magic-link", { email, redirectUrl: `${SITE_URL}/callback` }, STACKBE_KEY);
    return { body: page("Look into your inbox: the link works for 15 minutes."), cookies: [cookie("asked", email.toLowerCase(), 3600)] };
  },
  async "GET /callback"({ url, jar }) { // only the browser that asked arrives here, and as whom it asked for
    if (!jar.asked) throw refusal(400, "Ask for the link in this browser, then open it here.");
    const session = await post("verify", { token: url.searchParams.get("token") ?? "" });
    if (session.email.toLowerCase() !== jar.asked) throw refusal(400, "That link was for another address. Ask for one here.");
    return { status: 303, location: "/", cookies: [...keep(session), ...forget("asked")] };
  },
  async "POST /sign-out"({ jar, renewed }) {
    const gone = (refused) => { if (refused.status !== 401) throw refused; };
    await post("logout", {}, renewed?.sessionToken ?? jar.sessionToken).catch(gone);
    return { status: 303, location: "/", cookies: forget("sessionToken", "refreshToken") };
  },
};

async function answer(request) {
  const url = new URL(request.url, SITE_URL), act = routes[`${request.method} ${url.pathname}`];
  if (!act) throw refusal(404, "There is no such page.");
  if (request.method === "POST" && request.headers.origin !== new URL(SITE_URL).origin) throw refusal(403, "Use this site's own form.");
  const pairs = (request.headers.cookie ?? "").split("; ").map((pair) => pair.split(/=(.*)/s));
  const jar = Object.fromEntries(pairs.map(([name, value]) => [name, decodeURIComponent(value ?? "")]));
  let text = "", who = await person(jar.sessionToken), renewed = null;
  for await (const part of request) if ((text += part).length > 10_000) throw refusal(413, "That is too long.");
  if (!who && jar.refreshToken) renewed = await post("refresh", { refreshToken: jar.refreshToken }).catch(() => null);
  if (renewed) who = await person(renewed.sessionToken);
  const found = await act({ url, jar, who, renewed, form: new URLSearchParams(text) });
  return renewed ? { ...found, cookies: found.cookies ?? keep(renewed) } : found;
}

createServer(async (request, response) => {
  const failed = (error) => (error.status ? { status: error.status, body: page(error.message) }
    : { status: 502, body: page("Sign-in is not available just now. Try again in a minute.") });
  const { status = 200, type = "text/html; charset=utf-8", body = "", cookies = [], location } = await answer(request).catch(failed);
  const headers = { "content-type": type, "referrer-policy": "same-origin", "set-cookie": cookies };
  response.writeHead(status, location ? { ...headers, location } : headers).end(body);
}).listen(new URL(SITE_URL).port || 3000, new URL(SITE_URL).hostname, () => console.log(`Open ${SITE_URL}`));
