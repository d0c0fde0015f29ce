// better-auth's own routes, and two of an app that asks it: one that an API key guards, one that a session guards.
import cluster from "node:cluster";
import { createServer } from "node:http";

if (cluster.isPrimary) {
  for (let number = 0; number < Number(process.env.WORKERS); number += 1) {
    cluster.fork();
  }
  process.on("SIGTERM", () => {
    for (const worker of Object.values(cluster.workers)) {
      worker.process.kill();
    }
    process.exit(0);
  });
} else {
  const { auth } = await import("./auth.mjs");
  const { toNodeHandler } = await import("better-auth/node");
  const itsRoutes = toNodeHandler(auth);

  const answer = (response, status, said) => {
    const body = JSON.stringify(said);
    response.writeHead(status, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
    });
    response.end(body);
  };

  createServer(async (request, response) => {
    if (request.url.startsWith("/api/auth/")) {
      await itsRoutes(request, response);
    } else if (request.url.startsWith("/v1/session")) {
      const headers = new Headers({ cookie: request.headers.cookie ?? "" });
      const found = await auth.api.getSession({ headers });
      answer(response, found ? 200 : 401, { user: found?.user?.id });
    } else {
      const key = (request.headers.authorization ?? "").slice("Bearer ".length);
      const found = await auth.api.verifyApiKey({ body: { key } });
      answer(response, found.valid ? 200 : 401, { valid: found.valid, error: found.error?.code });
    }
  }).listen(Number(process.env.PORT), "127.0.0.1");
}
