// The points of curves, and the scales of the axes.

const OUTLIERS = 4; // values further away than so many times the width of the others are outliers
const START_SHARE = 1 / 3; // of the distance to the first point, beyond which a smoothing window does not extend much
const CROPPED = 2; // the initial rise of an accuracy is excluded if the range would otherwise be so many times as long
const LOWEST_SHARE = 0.15; // of the values of several accuracies, which may lie below the range

const stepsOf = data.steps.map((distances) => {
  let step = 0;
  return Float64Array.from(distances, (distance) => (step += distance));
});

const LONGEST = stepsOf.reduce((most, steps) => Math.max(most, steps.at(-1)), 1);

/** The points of a run's curve, {x, y}, smoothed over `share` of all steps on each side; of logarithms if isLog. */
function points(metric, run, share, isLog) {
  const curve = data.curves[metric][run];
  if (!curve) return null;
  const x = stepsOf[curve[0]];
  const y = isLog ? curve[1].map((value) => (value > 0 ? Math.log10(value) : NaN)) : curve[1];
  return { x, y: share ? smoothed(x, y, share * LONGEST) : y };
}

/**
 * The mean with weights that decrease exponentially with the distance on both sides, as plotting/smoothing.py: near
 * the start the window is narrower. NaN is left out.
 */
function smoothed(x, y, reach) {
  const decay = (i) => Math.exp(-(x[i] - x[i - 1]) / Math.min(reach, START_SHARE * (x[i - 1] - x[0])));
  const [sums, weights] = [new Float64Array(y.length), new Float64Array(y.length)];
  const pass = (first, last, step) => {
    let [sum, weight] = [0, 0];
    for (let i = first; i !== last; i += step) {
      const factor = i === first ? 0 : decay(step > 0 ? i : i + 1);
      [sum, weight] = [sum * factor, weight * factor];
      sums[i] += sum; // of the points before: each point itself is added once, below
      weights[i] += weight;
      if (!Number.isNaN(y[i])) [sum, weight] = [sum + y[i], weight + 1];
    }
  };
  pass(0, y.length, 1);
  pass(y.length - 1, -1, -1);
  return sums.map((sum, i) => (Number.isNaN(y[i]) ? NaN : (sum + y[i]) / (weights[i] + 1)));
}

/** A number of steps as the label of an axis that extends to `largest`: 2.5k, as plotting/axes.py. */
function stepText(step, largest) {
  if (largest < 1e4 || step === 0 || largest >= 1e12) return String(step);
  const [scale, unit] = largest >= 1e6 ? [1e6, "M"] : [1e3, "k"];
  return `${Number((step / scale).toPrecision(6))}${unit}`;
}

/** Round numbers from low to high, spaced by 1, 2 or 5 times a power of ten. */
function ticks(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const spacing = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const first = Math.ceil(low / spacing - 1e-9);
  return Array.from(
    { length: Math.max(0, Math.floor(high / spacing + 1e-9) - first + 1) },
    (_, i) => (first + i) * spacing,
  );
}

/** Round numbers between two powers of ten, as exponents. */
function logTicks(low, high) {
  const decades = high - low;
  if (decades < 0.7)
    return ticks(10 ** low, 10 ** high, 5)
      .filter((value) => value > 0)
      .map(Math.log10);
  const digits = decades < 2.5 ? [1, 2, 5] : [1];
  const spacing = Math.ceil(decades / 8);
  const exponents = [];
  for (let power = Math.floor(low); power <= high; power++) {
    if (power % spacing === 0) exponents.push(...digits.map((digit) => power + Math.log10(digit)));
  }
  return exponents.filter((value) => value >= low && value <= high);
}

/** The range of all values: {low, high}. */
function wholeSpan(curves) {
  const low = curves.reduce((least, y) => Math.min(least, y.reduce((a, b) => Math.min(a, b))), Infinity);
  const high = curves.reduce((most, y) => Math.max(most, y.reduce((a, b) => Math.max(a, b))), -Infinity);
  return { low, high };
}

/** The range of values without far outliers: {low, high}. */
function span(values) {
  const sorted = Float64Array.from(values).sort();
  const quantile = (share) => sorted[Math.round(share * (sorted.length - 1))];
  const [first, low, high, last] = [0, 0.02, 0.98, 1].map(quantile);
  const limit = OUTLIERS * (high - low);
  if (!(limit > 0)) return { low: first, high: last };
  return { low: first < low - limit ? low : first, high: last > high + limit ? high : last };
}

/** The range of accuracies without their initial rise, as plotting/axes.py: {low, high}. */
function usefulSpan(curves) {
  const whole = wholeSpan(curves);
  const later = Float64Array.from(curves.flatMap((y) => Array.from(y.length > 2 ? y.slice(1) : y))).sort();
  const quantile = later[Math.floor((curves.length > 3 ? LOWEST_SHARE : 0) * (later.length - 1))];
  const low = curves.reduce((least, y) => Math.min(least, y.at(-1)), quantile);
  return whole.high - whole.low <= CROPPED * Math.max(whole.high - low, 0.01) ? whole : { low, high: whole.high };
}

/** The distance of a point from the segment between two others. */
function distanceToSegment(point, a, b) {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const along = ((point.x - a.x) * dx + (point.y - a.y) * dy) / (dx * dx + dy * dy || 1);
  const share = Math.max(0, Math.min(1, along));
  return Math.hypot(a.x + share * dx - point.x, a.y + share * dy - point.y);
}
