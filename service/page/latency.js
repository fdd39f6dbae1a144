// A model's latencies, out of the text of /metrics.

const LINE = /^(\w+)\{([^}]*)\} (\S+)/;

function labelsOf(text) {
  return Object.fromEntries([...text.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]));
}

/** One histogram of one version: its count, its sum in seconds, and its buckets as [upper bound, count below]. */
export function histogram(text, metric, model) {
  const found = { count: 0, sum: 0, buckets: [] };
  for (const line of text.split("\n")) {
    const [, name, labelText, value] = line.match(LINE) || [];
    if (!name?.startsWith(metric)) continue;
    const labels = labelsOf(labelText);
    if (labels.model !== model.name || labels.version !== String(model.version)) continue;
    if (name === `${metric}_count`) found.count = Number(value);
    if (name === `${metric}_sum`) found.sum = Number(value);
    if (name === `${metric}_bucket`) found.buckets.push([labels.le === "+Inf" ? Infinity : Number(labels.le), Number(value)]);
  }
  return found;
}

/** A quantile in milliseconds, linear within its bucket as Prometheus does it. */
export function quantile({ count, buckets }, share) {
  let lower = 0;
  let below = 0;
  for (const [upper, total] of buckets) {
    if (total >= share * count) {
      if (upper === Infinity) return 1000 * lower;
      return 1000 * (lower + ((upper - lower) * (share * count - below)) / (total - below || 1));
    }
    [lower, below] = [upper, total];
  }
  return 0;
}
