// npm's prometheus-remote-write, driven by tests/it/foreign_senders.rs.
//
// In: a version and the URL as arguments; on stdin a line a batch: "send" makes a new one, "again" repeats the last. Out: a
// line of JSON a batch: whether it was accepted, what was heard, and its samples.
"use strict";

const [version, url] = process.argv.slice(1);
const { pushTimeseries } = require(`prometheus-remote-write@${version}`);

const SERIES = 20;
const SAMPLES = 25;
let newest = 0;
let batch = [];

function make() {
  const first = Math.max(newest + 1, Date.now() - SAMPLES);
  newest = first + SAMPLES - 1;
  // Names in no order, as an application writes them.
  return Array.from({ length: SERIES }, (_, series) => ({
    labels: { zone: "zürich-1", __name__: "npm_requests_total", path: `/a"b\\c/${series}`, instance: "web-0" },
    samples: Array.from({ length: SAMPLES }, (_, tick) => ({ value: (series - 3) * 0.1 + tick, timestamp: first + tick })),
  }));
}

async function answer(command) {
  if (command === "send") batch = make();
  const heard = await pushTimeseries(batch, { url, fetch }).catch((error) => ({
    status: 0,
    errorMessage: String(error),
  }));
  const samples = batch.flatMap(({ labels, samples }) =>
    samples.map(({ value, timestamp }) => [labels, timestamp, String(value)]),
  );
  return {
    accepted: heard.status >= 200 && heard.status < 300,
    said: `${heard.status} ${heard.errorMessage ?? ""}`,
    samples,
  };
}

async function main() {
  for await (const command of require("node:readline").createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await answer(command)));
  }
}

main();
