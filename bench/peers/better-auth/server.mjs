// A route that an API key guards, in as many processes as the other servers have.
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
  createServer(async (request, response) => {
    const key = (request.headers.authorization ?? "").slice("Bearer ".length);
    const found = await auth.api.verifyApiKey({ body: { key } });
    const body = JSON.stringify({ valid: found.valid, error: found.error?.code });
    response.writeHead(found.valid ? 200 : 401, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
    });
    response.end(body);
  }).listen(Number(process.env.PORT), "127.0.0.1");
}
