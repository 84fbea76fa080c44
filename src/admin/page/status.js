// Fetches status.json every few seconds and renders it. Each response gives a new tree, and the old one is patched to match it, so
// that open, selected and focused elements stay so. Text from outside only becomes text nodes, never markup.
"use strict";

const EVERY = 3000, PATIENCE = 5000;
const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

// --- making and changing nodes

function make(name, attributes, ...children) {
  const svg = "svg path rect circle line".split(" ").includes(name);
  const node = svg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

function become(old, next) {
  if (old.nodeType !== next.nodeType || old.nodeName !== next.nodeName) return old.replaceWith(next);
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== next.data) old.data = next.data;
    return;
  }
  for (const { name } of [...old.attributes]) {
    // The reader opens and closes details.
    if (!next.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const before = [...old.childNodes], after = [...next.childNodes];
  after.forEach((child, n) => (n < before.length ? become(before[n], child) : old.append(child)));
  before.slice(after.length).forEach((child) => child.remove());
}

// --- numbers and times in words

const few = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const many = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const number = (x) => (x >= 100 ? whole.format(x) : few.format(x));

function bytes(x) {
  const units = ["B", "kB", "MB", "GB"];
  let n = 0;
  while (x >= 1000 && n < units.length - 1) { x /= 1000; n += 1; }
  return `${few.format(x)} ${units[n]}`;
}

function took(seconds) {
  if (seconds === null) return "–";
  return seconds < 1 ? `${few.format(seconds * 1000)} ms` : `${few.format(seconds)} s`;
}

function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  const two = (x) => String(x).padStart(2, "0");
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor((s % 3600) / 60))} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

function clock(at) {
  const date = new Date(at), today = new Date().toDateString() === date.toDateString();
  const time = date.toLocaleTimeString("en-GB");
  return today ? time : `${date.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${time}`;
}

const time = (at) => make("time", { datetime: at, title: at }, clock(at));

// Counts down between two responses, by `tick`.
function left(moment, over = "over") {
  const seconds = moment.in_seconds - age();
  return make("span", { "data-left": moment.in_seconds, "data-over": over }, seconds > 0 ? span(seconds) : over);
}

function tick() {
  for (const node of document.querySelectorAll("[data-past]")) node.textContent = span(age() - Number(node.dataset.past));
  for (const node of document.querySelectorAll("[data-left]")) {
    const seconds = Number(node.dataset.left) - age();
    const words = seconds > 0 ? span(seconds) : node.dataset.over;
    if (node.textContent !== words) node.textContent = words;
  }
}

// By the sidecar's monotonic clock: the times of day may be of two clocks.
const lasted = ({ duration_seconds: s }) => (s < 10 ? `${few.format(s)} s` : span(s));

const past = (moment) => make("span", { "data-past": moment.in_seconds }, span(age() - moment.in_seconds));
// Text in backticks is code.
const prose = (text) => text.split("`").map((part, n) => (n % 2 ? make("code", {}, part) : part));
const words = (name) => name.replaceAll("_", " ");

// --- the parts of the page

const LEVELS = {
  flowing: ["good", "M9 17l5 5 10-11"],
  idle: ["soft", "M9 16h14"],
  starting: ["soft", "M16 9v7l5 3"],
  draining: ["soft", "M9 16h13M17 10l6 6-6 6"],
  degraded: ["fair", "M16 8v10M16 22.5v1"],
  stopped: ["bad", "M10 10l12 12M22 10l-12 12"],
};

function mark(level) {
  const [colour, path] = LEVELS[level];
  return make("svg", { class: `mark ${colour}`, viewBox: "0 0 32 32", fill: "none", stroke: "currentColor", "stroke-width": "2.4", "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true" },
    level === "degraded" ? make("path", { d: "M16 3L30 28H2Z" }) : level === "stopped" ? make("rect", { x: 2.5, y: 2.5, width: 27, height: 27, rx: 4 }) : make("circle", { cx: 16, cy: 16, r: 13.5 }),
    make("path", { d: path }));
}

const todo = (remedy) => remedy && make("p", { class: "todo" }, make("b", {}, "What to do: "), prose(remedy));

// The summary: rate, AWS identity, remaining lifetime.
function inShort({ workspaces, state }) {
  const [w] = workspaces;
  if (workspaces.length > 1 || !["flowing", "degraded"].includes(state.level) || !w.identity.credentials.usable) return null;
  const signing = w.identity.roles[w.identity.roles.length - 1];
  return make("p", { class: "soft" }, `${rateOf(w)} stored in ${w.id} (${w.region}), signed as `, make("b", {}, roleOf(w.identity, signing)), w.identity.credentials.expires && [", credentials valid for ", left(w.identity.credentials.expires)], ".");
}

const roleOf = ({ source }, { role_arn }) => role_arn ? role_arn.split(":").slice(5).join(":").replace(/^role\//, "") : source;

function verdict(status) {
  const { state } = status;
  return make("section", { class: "verdict", "aria-live": "polite", "data-level": state.level },
    mark(state.level),
    make("div", {}, make("h1", {}, `${state.headline}.`), inShort(status), delays(status), state.why && make("p", { class: "why" }, state.why), todo(state.remedy)));
}

// What is held back, or a delay of more than a minute.
function delays({ workspaces }) {
  const late = workspaces.filter(({ lag }) => lag.held_batches > 0 || lag.behind_seconds > 60);
  const words = late.map((w) => workspaces.length > 1 ? `${w.name}: ${w.lag.words}` : w.lag.words.charAt(0).toUpperCase() + w.lag.words.slice(1));
  return words.length ? make("p", { class: "lag" }, `${words.join(". ")}.`) : null;
}

function overview({ workspaces }) {
  const row = (w) => make("tr", {},
    make("td", {}, make("a", { href: `#w-${w.name}` }, w.name), make("span", { class: "soft small" }, ` ${w.region}`)),
    make("td", {}, make("span", { class: `pill ${LEVELS[w.state.level][0]}` }, w.state.headline)),
    make("td", { class: "number", "data-label": "flowing" }, rateOf(w)),
    make("td", { class: "number", "data-label": "credentials for" }, !w.identity.credentials.usable ? "none" : w.identity.credentials.expires ? left(w.identity.credentials.expires) : "no expiry"));
  const heads = [["Workspace"], ["State"], ["Flowing", "number"], ["Credentials last", "number"]];
  return make("section", { class: "section", id: "overview" },
    make("h2", {}, "Workspaces"),
    make("table", { class: "wide" },
      make("thead", {}, make("tr", {}, heads.map(([head, kind]) => make("th", { scope: "col", class: kind }, head)))),
      make("tbody", {}, workspaces.map(row))));
}

function latest(values) {
  return values.findLast((value) => value !== null) ?? null;
}

// The mean of the last minute, of which the running step may be short.
function lately(rates) {
  const last = rates.slice(-6);
  return last.length ? last.reduce((sum, rate) => sum + rate, 0) / last.length : 0;
}

function rateOf({ flow }) {
  return flow.counts_samples ? `${number(lately(flow.stored_samples_per_second))} samples/s` : `${number(lately(flow.stored_batches_per_second))} batches/s`;
}

function answers(w, incidents) {
  const { flow, identity } = w, { credentials } = identity;
  const signing = identity.roles[identity.roles.length - 1];
  const [rate, unit] = rateOf(w).split(" ");
  const account = (signing.assumed_role_arn ?? signing.role_arn)?.split(":")[4];
  const incident = incidents.find((incident) => !incident.ended) ?? incidents[0];
  const item = (head, main, ...more) => make("div", {}, make("dt", {}, head), make("dd", {}, main), more.map((words) => make("dd", {}, words)));
  const refresh = credentials.refresh.in_progress ? "refreshing now"
    : credentials.refresh.due ? [credentials.refresh.error ? "not refreshed; next attempt in " : "refreshed in ", left(credentials.refresh.due, "a moment")] : "";
  return make("dl", { class: "answers" },
    item("Stored, last minute", [rate, make("span", { class: "unit" }, ` ${unit}`)],
      `${number(lately(flow.stored_batches_per_second))} batches/s, ${bytes(lately(flow.sent_bytes_per_second))}/s to AMP`,
      flow.last_request_seconds_ago === null ? "no recent request" : flow.last_request_seconds_ago > 20 ? `last request ${span(flow.last_request_seconds_ago)} ago` : ""),
    item("AWS identity", roleOf(identity, signing), signing.session_name ? `session ${signing.session_name}` : "", account ? `account ${account}` : ""),
    item("Credentials valid until", !credentials.obtained ? "no AWS credentials yet" : !credentials.expires ? "replaced" : credentials.usable ? time(credentials.expires.at) : "expired",
      !credentials.expires ? refresh : [credentials.usable ? ["for ", left(credentials.expires)] : time(credentials.expires.at), refresh && ", ", refresh]),
    item(incident && !incident.ended ? "Current incident" : "Last incident", incident ? make("a", { href: `#incidents-${w.name}` }, words(incident.kind)) : "none",
      incident ? (incident.ended ? [`lasted ${lasted(incident)}, over for `, past(incident.ended)] : ["since ", time(incident.began.at), `, ${whole.format(incident.count)} times`]) : "since the start"));
}

function link(kind, title, facts, after) {
  return make("li", { class: kind }, make("b", {}, title), after && make("span", { class: "soft small" }, ` ${after}`),
    make("dl", {}, facts.filter(([, value]) => value !== null && value !== undefined).map(([name, ...value]) => [make("dt", {}, name), make("dd", {}, value)])));
}

const mono = (words) => make("span", { class: "mono" }, words);
const until = (moment) => moment && [left(moment, "expired"), ", until ", time(moment.at)];

function claims(token) {
  return [["issuer", mono(token.issuer)], ["subject", mono(token.subject)], ["audience", mono(token.audiences.join(", ") || "none")],
    ["azp", token.authorised_party && mono(token.authorised_party)],
    ["expires", token.expires && [token.expires.in_seconds > age() ? "in " : "", left(token.expires, "it is over"), ", at ", time(token.expires.at)]]];
}

function chain(w) {
  const { identity } = w, { token, entra, credentials } = identity, { refresh } = credentials;
  const broken = Boolean(refresh.error);
  const kind = (seen) => (seen ? "" : broken ? "broken" : "open");
  const links = [], file = identity.token_file && mono(identity.token_file);
  if (identity.takes_token) {
    links.push(link(kind(token), "Token", [["source", identity.token_source], ["file", file], ...(token ? claims(token) : [["", broken ? "could not be read" : "not read yet"]])], identity.token_file ? "projected by the cluster" : "given by the metadata server"));
  }
  if (entra) {
    links.push(link(kind(entra.token), "Entra ID", [["tenant", mono(entra.tenant)], ["client", mono(entra.client_id)], ["scope", mono(entra.scope)], ...(entra.token ? claims(entra.token) : [["", broken ? "no token" : "not requested yet"]])], new URL(entra.authority).host));
  }
  if (identity.certificate) {
    const { file: path, subject, issuer, serial, expires } = identity.certificate;
    links.push(link(kind(subject), "Certificate", [["file", mono(path)], ...(subject ? [["subject", mono(subject)], ["issuer", mono(issuer)], ["serial", mono(serial)], ["expires", until(expires)]]
      : [["", broken ? "could not be read" : "not read yet"]])], "IAM Roles Anywhere"));
  }
  identity.roles.forEach((role, n) => {
    const signs = n === identity.roles.length - 1;
    links.push(link(kind(role.assumed_role_arn || role.expires || (signs && credentials.obtained)), n ? "Next role" : role.role_arn ? "Role" : "Source", [
      ["", role.role_arn ? null : identity.source], ["file", !identity.takes_token && n === 0 ? file : null], ["role", role.role_arn && mono(role.role_arn)], ["session", role.session_name && mono(role.session_name)],
      ["assumed role", role.assumed_role_arn ? mono(role.assumed_role_arn) : !role.role_arn ? null : broken ? "not given by STS" : "not given yet"],
    ], signs ? "signs requests to AMP" : "assumes the next one"));
  });
  links.push(link(credentials.usable ? (broken ? "partly" : "") : broken ? "broken" : "open", "Credentials", [
    ["obtained", credentials.obtained && time(credentials.obtained.at)],
    ["expire", credentials.expires ? [credentials.usable ? "in " : "", left(credentials.expires, "expired"), ", at ", time(credentials.expires.at)] : credentials.obtained ? "they name no time" : "none yet"],
    ["refresh", refresh.in_progress ? "in progress" : refresh.due && [broken ? "next attempt in " : "in ", left(refresh.due, "a moment")]],
    ["error", refresh.error],
  ]));
  const { not_stored: refused, level } = w.state;
  const flows = { flowing: "", degraded: "partly", stopped: refused ? "broken" : "open" }[level] ?? "open";
  links.push(link(credentials.usable ? flows : "open", "Workspace", [["arn", mono(w.arn)],
    [refused && refused.refused_by_amp ? "AMP" : "batches", refused && [refused.refused_by_amp ? "refuses: " : "not stored: ", words(refused.outcome), refused.since && [" since ", time(refused.since.at)]]], ["writes to", mono(w.remote_write_url)], ["senders use", mono(w.write_url)],
    ["clock", w.clock_offset_seconds ? `AWS' clock is ${number(Math.abs(w.clock_offset_seconds))} s ${w.clock_offset_seconds > 0 ? "ahead of" : "behind"} this machine's: correct the node's clock` : null]]));
  return make("section", {}, make("h3", {}, "AWS identity"), make("ol", { class: "chain" }, links));
}

// --- plots

const STEPS = 90, WIDTH = 360, HEIGHT = 60;

// Newest at the right edge; what was before the start is left empty.
const at = (values, n) => WIDTH * (1 - (values.length - 1 - n) / (STEPS - 1));
const up = (value, top) => HEIGHT - 1 - (HEIGHT - 5) * (value / top);

function curve(values, top) {
  let path = "", pen = "M";
  values.forEach((value, n) => {
    if (value === null) { pen = "M"; return; }
    path += `${pen}${at(values, n).toFixed(1)} ${up(value, top).toFixed(1)}`;
    pen = "L";
  });
  return path;
}

function under(values, top) {
  const line = curve(values, top);
  return line && `${line}L${WIDTH} ${HEIGHT}L${at(values, 0).toFixed(1)} ${HEIGHT}Z`;
}

function bars(values, top) {
  const wide = WIDTH / STEPS;
  return values.map((value, n) => (value > 0 ? `M${(at(values, n) - wide).toFixed(1)} ${HEIGHT}h${wide.toFixed(1)}V${Math.min(up(value, top), HEIGHT - 4).toFixed(1)}h${-wide.toFixed(1)}Z` : "")).join("");
}

function plot(title, values, show, seconds, legend, others = []) {
  const known = values.filter((value) => value !== null);
  const most = Math.max(0, ...known), top = Math.max(most, ...others.flatMap(([, , more]) => more), 1e-9);
  const now = known.length ? known[known.length - 1] : null;
  const minutes = (values.length * seconds) / 60;
  const alternative = known.length
    ? `${title} over the last ${few.format(minutes)} minutes: now ${show(now)}, maximum ${show(most)}, minimum ${show(Math.min(...known))}. ${legend.join(", ")}`
    : `${title}: no data yet`;
  return make("figure", { class: "plot" },
    make("figcaption", {}, make("span", {}, title), make("b", {}, now === null ? "–" : show(now))),
    make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": alternative },
      [0, 1, 2].map((n) => make("line", { class: "grid", x1: (WIDTH * n) / 3, x2: (WIDTH * n) / 3, y1: 0, y2: HEIGHT })),
      make("path", { class: "area", d: under(values.map((value) => value ?? 0), top) }),
      make("path", { class: "line", d: curve(values, top) }),
      others.map(([kind, , more]) => make("path", { class: kind, d: kind === "bars" ? bars(more, top) : curve(more, top) }))),
    make("div", { class: "axis", "aria-hidden": "true" }, make("span", {}, "−15 min"), make("span", {}, `max ${show(most)}`), make("span", {}, "now")),
    make("p", { class: "legend" }, legend.join(" · ")));
}

function flow(w) {
  const f = w.flow, s = f.step_seconds;
  const sum = (rates) => rates.reduce((total, rate) => total + rate * s, 0);
  const count = (rates) => whole.format(Math.round(sum(rates)));
  const some = (rates) => rates.some((rate) => rate > 0);
  // What was retried may long be stored: the count says nothing about the present.
  const recency = (rates) => {
    const steps = rates.length - 1 - rates.findLastIndex((rate) => rate > 0);
    return steps < 2 ? "the last just now" : `the last ${span(steps * s)} ago`;
  };
  const plots = [
    plot("Batches stored", f.stored_batches_per_second, (x) => `${number(x)}/s`, s,
      [some(f.retried_batches_per_second) ? `╌ ${count(f.retried_batches_per_second)} × “retry” to senders, ${recency(f.retried_batches_per_second)}` : "none retried", some(f.lost_batches_per_second) ? `▮ ${count(f.lost_batches_per_second)} refused for good` : "none refused"],
      [["dashed", 0, some(f.retried_batches_per_second) ? f.retried_batches_per_second : []], ["bars", 0, f.lost_batches_per_second]]),
    f.counts_samples ? plot("Samples stored", f.stored_samples_per_second, (x) => `${number(x)}/s`, s,
      [some(f.lost_samples_per_second) ? `▮ at most ${count(f.lost_samples_per_second)} lost` : "none lost"], [["bars", 0, f.lost_samples_per_second]]) : null,
    plot("Response time, p99", f.p99_seconds, took, s, [`╌ mean ${took(latest(f.mean_seconds))}`, `┄ p50 ${took(latest(f.p50_seconds))}`, "above 10 s senders may drop samples"],
      [["dashed soft", 0, f.mean_seconds], ["dotted", 0, f.p50_seconds]]),
    plot("Sent to AMP", f.sent_bytes_per_second, (x) => `${bytes(x)}/s`, s,
      [`┄ from senders ${bytes(lately(f.received_bytes_per_second))}/s`], [["dotted", 0, f.received_bytes_per_second]]),
  ];
  const { in_flight: now } = w;
  return make("section", { class: "flow" }, make("h3", {}, "The last 15 minutes"), make("div", { class: "plots" }, plots),
    make("p", { class: "small soft" }, `In flight: ${number(now.requests)} of ${number(now.requests_limit)} requests, ${bytes(now.bytes)} of ${bytes(now.bytes_limit)}.`));
}

// --- batches by result, and incidents

const FATES = { stored: ["good", "stored"], retried: ["fair", "retried"], lost: ["bad", "lost"], other: ["soft", "other"] };

function table(caption, heads, rows) {
  return make("table", { class: "wide" }, caption && make("caption", {}, caption),
    make("thead", {}, make("tr", {}, heads.map(([head, kind]) => make("th", { scope: "col", class: kind }, head)))),
    make("tbody", {}, rows));
}

function tally(caption, heads, rows) {
  return make("table", { class: "tally" }, make("caption", {}, caption),
    make("thead", {}, make("tr", {}, heads.map(([head, kind]) => make("th", { scope: "col", class: kind }, head)))),
    make("tbody", {}, rows.map(([colour, fate, name, meaning, count]) => make("tr", {},
      make("td", {}, make("span", { class: `pill ${colour}` }, fate), " ", name === fate ? "" : make("code", {}, name), make("span", { class: "meaning" }, meaning)),
      make("td", { class: "number" }, count)))));
}

const outcomes = (list, caption) => tally(caption, [["Outcome"], ["Batches", "number"]], list.map((o) => {
  const [colour, words] = FATES[o.fate];
  return [colour, words, o.outcome, o.fate === "stored" ? o.meaning : `${o.meaning}. Response to the sender: ${o.response}.`, whole.format(o.batches)];
}));

const losses = (list) => tally("In refused batches, by reason: an upper bound of what is lost", [["Reason"], ["Samples", "number"]], list.map((l) => {
  const more = [l.histograms && `${whole.format(l.histograms)} histograms`, l.exemplars && `${whole.format(l.exemplars)} exemplars`].filter(Boolean);
  return ["bad", "lost", l.reason, [l.meaning, ...more].join("; "), whole.format(l.samples)];
}));

function incident(f) {
  return make("li", { class: f.ended ? "" : "open", "data-incident": f.kind },
    make("p", { class: "head" },
      make("span", { class: `pill ${f.ended ? "good" : "bad"}` }, f.ended ? "over" : "open"),
      make("b", {}, words(f.kind)),
      make("span", { class: "soft small" }, "began ", time(f.began.at), `, ${f.count === 1 ? "once" : `${whole.format(f.count)} times`}, `,
        f.ended ? ["lasted ", lasted(f), ", over for ", past(f.ended)] : ["last ", past(f.last), " ago"])),
    make("p", { class: "why" }, f.reason),
    f.remedy && make("p", { class: "do" }, make("b", {}, f.ended ? "What to do if it comes back: " : "What to do: "), prose(f.remedy)));
}

function incidentList(id, head, list) {
  return make("section", { id }, make("h3", {}, head),
    list.length ? make("ol", { class: "incidents" }, list.map(incident)) : make("p", { class: "soft" }, "None since the start."));
}

function workspace(w, incidents, alone) {
  const f = w.flow, own = incidents.filter((incident) => incident.workspace === w.name);
  const sampled = [f.counted_one_in > 1 && `counted 1 of ${whole.format(f.counted_one_in)} batches now`, f.estimated_samples > 0 && `${many.format(f.estimated_samples)} samples estimated`].filter(Boolean).map((part) => `; ${part}`).join("");
  const counts = f.counts_samples ? `${many.format(f.received_samples)} samples received, ${many.format(f.stored_samples)} stored, at most ${many.format(f.lost_samples)} lost${sampled}` : "samples are not counted, as --inspect is off";
  return make("section", { class: "workspace", id: `w-${w.name}`, "data-workspace": w.name, "aria-label": `Workspace ${w.name}` },
    make("h2", {}, w.name, make("span", { class: "soft" }, w.id === w.name ? w.region : `${w.id}, ${w.region}`)),
    alone ? null : make("div", { class: "state" }, make("p", {}, make("span", { class: `pill ${LEVELS[w.state.level][0]}` }, w.state.headline), w.state.why && `: ${w.state.why}`), todo(w.state.remedy)),
    w.identity.warning && make("p", { class: "todo" }, make("b", {}, "Warning: "), prose(w.identity.warning)),
    answers(w, own),
    flow(w),
    make("div", { class: "columns" }, chain(w),
      make("div", { class: "stack" },
        incidentList(`incidents-${w.name}`, "Recent incidents", own),
        make("section", {}, make("h3", {}, "Batches by result"),
          w.outcomes.length ? outcomes(w.outcomes, counts) : make("p", { class: "soft" }, "No batches yet.")),
        w.lost.length ? losses(w.lost) : null)),
    make("div", { class: w.refused_series.length ? "columns" : "row" },
      make("section", { class: "senders" }, make("h3", {}, "Senders"),
        w.senders.length ? writers(w.senders) : make("p", { class: "soft" }, "None yet.")),
      w.refused_series.length ? make("section", { class: "refused" }, make("h3", {}, "Refused series"), refusals(w.refused_series)) : null));
}

function settings({ configuration, configuration_current: current }) {
  const row = (s) => make("tr", {},
    make("td", { class: "flag" }, make("code", {}, `--${s.flag}`)),
    make("td", {}, make("code", {}, s.value.join("\u2002"))),
    make("td", { class: "from", "data-label": "from" }, s.from));
  return make("section", { class: "section", id: "configuration" },
    make("h2", {}, "Configuration"),
    current ? null : make("p", { class: "bad" }, "The last reload failed, and the previous configuration stays in use: the log names the error."),
    configuration.map((c) => make("details", {},
      make("summary", {}, c.workspace ? `Workspace ${c.workspace}` : "The process", make("span", { class: "soft small" }, ` ${c.settings.length} settings and their sources`)),
      table("", [["Setting"], ["Value"], ["From"]], c.settings.map(row)))));
}

// Of a workspace: who writes, and which series AMP refused last.
const writers = (list) => table("", [["Sender"], ["Writes to"], ["Remote write"], ["Requests", "number"], ["Last"]], list.map((s) => make("tr", {},
  make("td", {}, mono(s.user_agent || "unnamed"), make("span", { class: "meaning" }, s.peer)),
  make("td", { "data-label": "writes to" }, mono(s.path)),
  make("td", { "data-label": "remote write" }, s.remote_write_version),
  make("td", { class: "number", "data-label": "requests" }, whole.format(s.requests)),
  make("td", { "data-label": "last" }, past(s.last), " ago"))));

const refusals = (list) => table("The last names that AMP refused; it names one series of each request", [["Series"], ["They were"], ["Times", "number"], ["Last"]], list.map((r) => make("tr", {},
  make("td", {}, mono(r.name)),
  make("td", {}, make("code", {}, r.reason), make("span", { class: "meaning" }, r.meaning)),
  make("td", { class: "number", "data-label": "times" }, whole.format(r.count)),
  make("td", { "data-label": "last" }, past(r.last), " ago"))));

const senders = (list) => table("In the last five minutes", [["Sender"], ["Writes to"], ["Requests", "number"], ["Last"]], list.map((s) => make("tr", {},
  make("td", {}, mono(s.user_agent || "unnamed"), make("span", { class: "meaning" }, s.peer)),
  make("td", { "data-label": "writes to" }, "port ", mono(s.port), " path ", mono(s.path), make("span", { class: "meaning" }, words(s.outcome))),
  make("td", { class: "number", "data-label": "requests" }, whole.format(s.count)),
  make("td", { "data-label": "last" }, past(s.last), " ago"))));

function page(status) {
  const alone = status.workspaces.length === 1;
  const named = status.workspaces.map((w) => w.name);
  const elsewhere = status.incidents.filter((incident) => !named.includes(incident.workspace));
  return make("main", { id: "page" },
    verdict(status),
    alone ? null : overview(status),
    status.workspaces.map((w) => workspace(w, status.incidents, alone)),
    status.misdirected.length ? make("section", { class: "section", id: "misdirected" }, make("h2", {}, "Senders whose data is not stored"), senders(status.misdirected)) : null,
    status.unrouted.length ? make("section", { class: "section" }, make("h2", {}, "Requests for no workspace"), outcomes(status.unrouted, "from senders that name none or are not authenticated")) : null,
    elsewhere.length ? make("div", { class: "section" }, incidentList("incidents", "Recent incidents of the process", elsewhere)) : null,
    settings(status));
}

// --- live updates

let answered = null, answeredAt = 0, failing = null, asking = false, timer = 0;

function age() { return answered ? (performance.now() - answeredAt) / 1000 : 0; }

function draw() {
  if (!answered) return;
  byId("version").textContent = answered.version;
  become(byId("page"), page(answered));
  document.title = `${{ flowing: "✓", degraded: "!", stopped: "✕" }[answered.state.level] ?? "–"} ${answered.state.headline} · amp-sidecar`;
}

function tell() {
  tick();
  const gone = byId("gone");
  document.body.classList.toggle("stale", failing !== null && answered !== null);
  gone.hidden = failing === null;
  if (failing !== null) {
    const words = answered ? `The sidecar has not answered for ${span(age())}. The data below is from ${clock(answered.now)}: the sidecar may have stopped, or the connection to it (port-forward?) is gone.`
      : `The sidecar does not answer (${failing}).`;
    if (gone.textContent !== words) gone.textContent = words;
  }
  byId("live").textContent = !answered ? "connecting" : failing !== null ? "not live" : `live, up for ${span(age() - answered.started.in_seconds)}`;
}

async function ask() {
  if (asking) return;
  asking = true;
  clearTimeout(timer);
  try {
    const response = await fetch("status.json", { cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(PATIENCE) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    answered = await response.json();
    answeredAt = performance.now();
    failing = null;
    draw();
  } catch (error) {
    failing = error.message;
  }
  asking = false;
  tell();
  // A hidden page does not poll.
  if (!document.hidden) timer = setTimeout(ask, EVERY);
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
setInterval(tell, 1000);
ask();
