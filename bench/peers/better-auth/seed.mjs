// Makes better-auth's own tables, one user per tenant and a key for each, then people, sessions and links.
// Prints what opens them as JSON.
import { getMigrations } from "better-auth/db/migration";
import { auth, mailed, pool } from "./auth.mjs";

const [companies, sessions, links] = process.argv.slice(2).map(Number);
const { runMigrations } = await getMigrations(auth.options);
await runMigrations();
await pool.query(
  `insert into "user" (id, name, email, "emailVerified", "createdAt", "updatedAt")
   select 'user-' || n, 'Person ' || n, 'person-' || n || '@example.com', true, now(), now()
   from generate_series(0, $1::int - 1) n`,
  [Math.max(companies, sessions, links)],
);

async function link(number) {
  await auth.api.signInMagicLink({ body: { email: `person-${number}@example.com` }, headers: new Headers() });
  return mailed.pop();
}

async function signedIn(token) {
  const url = `${auth.options.baseURL}/api/auth/magic-link/verify?token=${token}`;
  const response = await auth.handler(new Request(url));
  return response.headers.getSetCookie().map((cookie) => cookie.split(";")[0]).join("; ");
}

const made = { keys: [], cookies: [], tokens: [] };
for (let number = 0; number < companies; number += 1) {
  const key = await auth.api.createApiKey({ body: { userId: `user-${number}`, name: "bench" } });
  made.keys.push(key.key);
}
for (let number = 0; number < sessions; number += 1) {
  made.cookies.push(await signedIn(await link(number)));
}
for (let number = 0; number < links; number += 1) {
  made.tokens.push(await link(number));
}
await pool.query("analyze");
await pool.end();
console.log(JSON.stringify(made));
