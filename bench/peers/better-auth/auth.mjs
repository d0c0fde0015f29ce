// better-auth as its documentation sets it up: the rows in PostgreSQL, a limit on every key.
import { apiKey } from "@better-auth/api-key";
import { betterAuth } from "better-auth";
import { magicLink } from "better-auth/plugins";
import pg from "pg";

export const pool = new pg.Pool({
  host: process.env.PEERS_SOCKETS,
  user: "postgres",
  database: process.env.BETTER_AUTH_DATABASE,
  max: 16,
});

// What would be mailed; a benchmark sends nothing.
export const mailed = [];

export const auth = betterAuth({
  database: pool,
  baseURL: "http://localhost",
  secret: "a-secret-that-guards-nothing-in-a-benchmark",
  telemetry: { enabled: false },
  logger: { disabled: true },
  // This one is the limit on addresses, which none of the servers has switched on for these routes.
  rateLimit: { enabled: false },
  plugins: [
    apiKey({ rateLimit: { enabled: true, timeWindow: 60_000, maxRequests: 1_000_000 } }),
    magicLink({
      expiresIn: 3600,
      sendMagicLink: async ({ token }) => {
        if (process.env.KEEP_MAIL) {
          mailed.push(token);
        }
      },
    }),
  ],
});
