// Popularity and hubness in words: who gets served, and who turns up for everything.

import { count, counted, make, percent } from "./elements.js";
import { titleOf } from "./results.js";

/** Document id -> sentence, for those that turn up far more often than the average. */
export function hubsOf(seen) {
  const hubness = seen?.hubness;
  const mean = Number(hubness?.mean) || 0;
  return new Map(
    (hubness?.hubs ?? []).map((hub) => [
      hub.id,
      `Turns up for ${count(hub.count)} of ${count(hubness.reference)} titles asked as questions` +
        (mean > 0 ? `, ${count(Math.round(hub.count / mean))} times the average` : ""),
    ]),
  );
}

/** What is known of the popularity of these answers and of the whole server. */
export function auditPanel(seen, hits, system) {
  return make(
    "div",
    { class: "card audit" },
    make("h2", { text: "How popular are these?" }),
    strip(hits),
    ofThese(hits),
    ofServer(seen?.served, system),
    ofHubs(seen, hits),
  );
}

/** One bar per answer: how often it was served since the server started. */
function strip(hits) {
  const most = Math.max(1, ...hits.map((hit) => Number(hit.served) || 0));
  if (most <= 1) return null;
  return make(
    "div",
    { class: "strip", "aria-hidden": "true" },
    hits.map((hit) =>
      make("span", {
        class: "strip-bar", vars: { "--share": (Number(hit.served) || 0) / most },
        title: `${hit.rank}. ${titleOf(hit)}: served ${counted(hit.served, "time")}`,
      }),
    ),
  );
}

function ofThese(hits) {
  const total = hits.reduce((sum, hit) => sum + (Number(hit.served) || 0), 0);
  const fresh = hits.filter((hit) => (Number(hit.served) || 0) <= 1).length;
  const top = hits.reduce((best, hit) => ((hit.served ?? 0) > (best.served ?? 0) ? hit : best), hits[0]);
  if (fresh === hits.length) return make("p", { text: "None of these had been served before." });
  const words = `Served ${counted(total, "time")} in all since the server started, `;
  return make(
    "p", {},
    words,
    fresh ? `${count(fresh)} of them now for the first time. ` : "none of them for the first time. ",
    "Most often: ",
    make("strong", { text: titleOf(top) }),
    `, ${counted(top.served, "time")}.`,
  );
}

function ofServer(served, system) {
  if (!served?.answers) return null;
  const even = `${percent(served.documents / Math.max(1, system.documents))} of all documents were served at least once`;
  return make(
    "div", { class: "audit-part" },
    make("h3", { text: `All answers of ${system.name}` }),
    make("p", { text: `${counted(served.answers, "answer")} so far; ${even}.` }),
    make("p", { text: `The most served 1 % of documents took ${percent(served.top_share)} of them. ${giniWords(served.gini)}` }),
  );
}

function giniWords(gini) {
  const value = Number(gini);
  if (!Number.isFinite(value)) return "";
  const words = value < 0.3 ? "spread evenly" : value < 0.6 ? "somewhat uneven" : "few documents take most";
  return `Gini ${value.toFixed(2)}: ${words}.`;
}

function ofHubs(seen, hits) {
  const heading = make("h3", { text: "Hubs" });
  const hubness = seen?.hubness;
  if (!hubness) {
    return make("div", { class: "audit-part" }, heading,
      make("p", { class: "quiet", text: "Being worked out: titles are asked as questions while the server is idle." }));
  }
  const hubs = hubsOf(seen);
  const among = hits.filter((hit) => hubs.has(hit.id));
  const words = among.length
    ? `${count(among.length)} of these ${count(hits.length)} turn up for many unrelated questions and are marked as hubs.`
    : "None of these is a hub: no document here turns up for many unrelated questions.";
  const never = Number.isFinite(hubness.never) ? ` ${percent(hubness.never)} of the documents are never among the first ${count(hubness.k)}.` : "";
  return make("div", { class: "audit-part" }, heading,
    make("p", { text: words }),
    make("p", { class: "quiet", text: `Measured with ${counted(hubness.reference, "title")} asked as questions.${never}` }));
}
