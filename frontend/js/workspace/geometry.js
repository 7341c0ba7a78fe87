// Outlines and segments in pixels of the source grid, points as [row, column]. Numbers of segments
// follow processing/mcaq/segments.py; a test holds the two together.

const TURN = 2 * Math.PI;
const FIRST = { basal: 1, mid: 7, mid2: 7, apical: 13 };
const mod = (value, by) => ((value % by) + by) % by;

/** Which pixels of a crop have their centre within a closed outline. */
export function filled(outline, rows, cols, [top, left]) {
  const mask = new Uint8Array(rows * cols);
  const count = outline.length;
  for (let r = 0; r < rows; r += 1) {
    const y = r + top;
    const crossings = [];
    for (let i = 0, j = count - 1; i < count; j = i, i += 1) {
      const [y1, x1] = outline[j];
      const [y2, x2] = outline[i];
      if (y1 <= y !== y2 <= y) crossings.push(x1 + ((y - y1) / (y2 - y1)) * (x2 - x1));
    }
    crossings.sort((a, b) => a - b);
    for (let k = 0; k + 1 < crossings.length; k += 2) {
      const from = Math.max(0, Math.ceil(crossings[k] - left));
      const to = Math.min(cols - 1, Math.floor(crossings[k + 1] - left));
      for (let c = from; c <= to; c += 1) mask[r * cols + c] = 1;
    }
  }
  return mask;
}

export function area(outline) {
  let sum = 0;
  outline.forEach(([y1, x1], i) => {
    const [y2, x2] = outline[(i + 1) % outline.length];
    sum += y1 * x2 - y2 * x1;
  });
  return Math.abs(sum) / 2;
}

/** Anticlockwise from the picture's right, in the picture as it is seen. */
const angleOf = ([row, col], [middleRow, middleCol]) => Math.atan2(-(row - middleRow), col - middleCol);

/**
 * The wall's pixels by segment number, 0 elsewhere, on a crop.
 * contours: endocardium, epicardium and both insertion points.
 */
export function segmentsOf(contours, level, rows, cols, offset) {
  const cavity = filled(contours.endocardium, rows, cols, offset);
  const whole = filled(contours.epicardium, rows, cols, offset);
  const numbers = new Uint8Array(rows * cols);
  let count = 0;
  const middle = [0, 0];
  for (let i = 0; i < cavity.length; i += 1) {
    if (!cavity[i]) continue;
    middle[0] += Math.floor(i / cols) + offset[0];
    middle[1] += (i % cols) + offset[1];
    count += 1;
  }
  if (!count) return { numbers, middle: null };
  middle[0] /= count;
  middle[1] /= count;
  const anterior = angleOf(contours.rv_insertion_anterior, middle);
  let extent = mod(angleOf(contours.rv_insertion_inferior, middle) - anterior, TURN);
  if (extent > Math.PI) extent -= TURN;
  const turns = extent < 0;
  const septum = Math.abs(extent);
  for (let i = 0; i < cavity.length; i += 1) {
    if (!whole[i] || cavity[i]) continue;
    const angle = angleOf([Math.floor(i / cols) + offset[0], (i % cols) + offset[1]], middle) - anterior;
    const along = mod(turns ? -angle : angle, TURN);
    if (level === 'apical') {
      const quarter = Math.floor(mod(along - septum / 2 + Math.PI / 4, TURN) / (TURN / 4)) % 4;
      numbers[i] = [14, 15, 16, 13][quarter];
    } else {
      const part = along < septum ? Math.floor(along / (septum / 2)) : 2 + Math.floor((along - septum) / ((TURN - septum) / 4));
      numbers[i] = [2, 3, 4, 5, 6, 1][Math.min(5, Math.max(0, part))] + FIRST[level] - 1;
    }
  }
  return { numbers, middle };
}

/** Whether all of the inner outline lies within the outer one. */
export function isWithin(inner, outer) {
  return inner.every(([y, x]) => {
    let odd = false;
    for (let i = 0, j = outer.length - 1; i < outer.length; j = i, i += 1) {
      const [y1, x1] = outer[j];
      const [y2, x2] = outer[i];
      if (y1 > y !== y2 > y && x < x1 + ((y - y1) / (y2 - y1)) * (x2 - x1)) odd = !odd;
    }
    return odd;
  });
}

/** An outline with its point `at` moved by [rows, columns]; neighbours follow, the farther the less. */
export function pulled(outline, at, [dr, dc], reach = 0.06) {
  const count = outline.length;
  const width = Math.max(1, reach * count);
  return outline.map(([r, c], i) => {
    const away = Math.min(mod(i - at, count), mod(at - i, count));
    const share = Math.exp(-0.5 * (away / width) ** 2);
    return [r + share * dr, c + share * dc];
  });
}

/** Mean, deviation, least, most and number of the finite values where `chosen(i)`. */
export function statistics(values, chosen) {
  let count = 0;
  let sum = 0;
  let squares = 0;
  let low = Infinity;
  let high = -Infinity;
  for (let i = 0; i < values.length; i += 1) {
    const value = values[i];
    if (!chosen(i) || !Number.isFinite(value)) continue;
    count += 1;
    sum += value;
    squares += value * value;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const mean = count ? sum / count : null;
  return { count, mean, sd: count > 1 ? Math.sqrt(Math.max(0, (squares - count * mean * mean) / (count - 1))) : 0, low, high };
}
