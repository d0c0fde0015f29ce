// Makes better-auth's own tables, one user per tenant and a key for each; prints the keys as JSON.
import { getMigrations } from "better-auth/db/migration";
import { auth, pool } from "./auth.mjs";

const { runMigrations } = await getMigrations(auth.options);
await runMigrations();

const keys = [];
for (let number = 0; number < Number(process.argv[2]); number += 1) {
  const userId = `user-${number}`;
  await pool.query(
    `insert into "user" (id, name, email, "emailVerified", "createdAt", "updatedAt")
     values ($1, $2, $3, true, now(), now())`,
    [userId, `Person ${number}`, `person-${number}@example.com`],
  );
  const made = await auth.api.createApiKey({ body: { userId, name: "bench" } });
  keys.push(made.key);
}
await pool.query("analyze");
await pool.end();
console.log(JSON.stringify(keys));
