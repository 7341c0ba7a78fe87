// One series on a canvas: a frame in grey, flow or segments in colour over it, outlines on top.

const SEGMENT_COLOURS = ['#e69f00', '#56b4e9', '#009e73', '#f0e442', '#d55e00', '#cc79a7'];
const LINES = { endocardium: '#ff5a5a', epicardium: '#5aff8c', aif_region: '#ffd23f' };

export class Panel {
  constructor(canvas, series, palette) {
    this.canvas = canvas;
    this.context = canvas.getContext('2d');
    this.series = series;
    this.palette = palette;
    this.frame = 0;
    this.zoom = 1;
    this.centre = null;
    this.probe = null;
    this.region = [];
    this.regionIsClosed = false;
    this.films = {};
    // Whether the segment numbers are to be made anew from what is drawn.
    this.stale = true;
    this.grey = document.createElement('canvas');
    this.colour = document.createElement('canvas');
    this.dirty = true;
  }

  get film() { return this.films.corrected; }

  setFilm(name, film) {
    this.films[name] = film;
    if (name !== 'corrected') return;
    for (const layer of [this.grey, this.colour]) { layer.width = film.cols; layer.height = film.rows; }
    this.pixels = this.grey.getContext('2d').createImageData(film.cols, film.rows);
    this.words = new Uint32Array(this.pixels.data.buffer);
    this.centre = [film.rows / 2, film.cols / 2];
    this.window = this.usualWindow();
    this.frame = this.brightest();
  }

  /** Low and high of the signal shown, cut at what few pixels are beyond. */
  usualWindow() {
    const { film, low, step, rows, cols, segmentation } = this.film;
    const counts = new Uint32Array(4096);
    const heart = new Uint32Array(4096);
    const size = rows * cols;
    let inHeart = 0;
    this.series.dynamic.forEach((dynamic, frame) => {
      if (!dynamic) return;
      for (let i = 0; i < size; i += 1) {
        counts[film[frame * size + i]] += 1;
        if (segmentation[i]) { heart[film[frame * size + i]] += 1; inHeart += 1; }
      }
    });
    const total = counts.reduce((a, b) => a + b, 0);
    const at = (table, all, share) => {
      let sum = 0;
      for (let n = 0; n < 4096; n += 1) { sum += table[n]; if (sum >= share * all) return n; }
      return 4095;
    };
    const bottom = at(counts, total, 0.01);
    const top = inHeart ? 1.1 * at(heart, inHeart, 0.995) : at(counts, total, 0.995);
    return { low: low + step * bottom, high: low + step * Math.max(top, bottom + 1) };
  }

  brightest() {
    const { film, rows, cols, segmentation } = this.film;
    let best = 0;
    let most = -1;
    this.series.dynamic.forEach((dynamic, frame) => {
      if (!dynamic) return;
      let sum = 0;
      for (let i = 0; i < rows * cols; i += 1) if (segmentation[i] === 2) sum += film[frame * rows * cols + i];
      if (sum > most) { most = sum; best = frame; }
    });
    return best;
  }

  get count() { return this.series.times.length; }

  goTo(frame) {
    const wanted = Math.min(Math.max(frame, 0), this.count - 1);
    if (wanted !== this.frame) { this.frame = wanted; this.dirty = true; }
  }

  /** Screen pixels for one pixel of the film, across and down: pixels need not be square. */
  scale() {
    const { rows, cols } = this.film;
    const [down, across] = this.series.spacing;
    const fit = Math.min(this.canvas.width / (cols * across), this.canvas.height / (rows * down)) * this.zoom;
    return [fit * across, fit * down];
  }

  /** Place on the canvas of a point [row, column] of the source grid; a pixel's centre is whole. */
  toScreen([row, col]) {
    const [sx, sy] = this.scale();
    const [top, left] = this.film.offset;
    return [
      this.canvas.width / 2 + (col - left + 0.5 - this.centre[1]) * sx,
      this.canvas.height / 2 + (row - top + 0.5 - this.centre[0]) * sy,
    ];
  }

  toSource(x, y) {
    const [sx, sy] = this.scale();
    const [top, left] = this.film.offset;
    return [
      (y - this.canvas.height / 2) / sy + this.centre[0] - 0.5 + top,
      (x - this.canvas.width / 2) / sx + this.centre[1] - 0.5 + left,
    ];
  }

  /** Index of the pixel at [row, column] of the source grid, or -1. */
  indexOf([row, col]) {
    const r = Math.round(row) - this.film.offset[0];
    const c = Math.round(col) - this.film.offset[1];
    return r >= 0 && c >= 0 && r < this.film.rows && c < this.film.cols ? r * this.film.cols + c : -1;
  }

  /** What is at a pixel, exactly as the server keeps it. */
  at(index, name = 'corrected') {
    const film = this.films[name] ?? this.film;
    const size = film.rows * film.cols;
    return {
      signal: film.low + film.step * film.film[this.frame * size + index],
      mbf: this.film.mbf[index],
      segment: this.film.aha[index],
    };
  }

  paintGrey(name) {
    const film = this.films[name] ?? this.film;
    const size = film.rows * film.cols;
    const from = this.frame * size;
    const factor = 255 / Math.max(1e-9, this.window.high - this.window.low);
    const start = (film.low - this.window.low) * factor;
    const gain = film.step * factor;
    const table = this.table && this.tableKey === `${start},${gain}` ? this.table : this.makeTable(start, gain);
    const { words } = this;
    for (let i = 0; i < size; i += 1) words[i] = table[film.film[from + i]];
    this.grey.getContext('2d').putImageData(this.pixels, 0, 0);
  }

  makeTable(start, gain) {
    const table = new Uint32Array(4096);
    for (let n = 0; n < 4096; n += 1) {
      const grey = Math.min(255, Math.max(0, Math.round(start + gain * n)));
      table[n] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
    }
    this.table = table;
    this.tableKey = `${start},${gain}`;
    return table;
  }

  /** Flow or segments, painted once for each choice. */
  paintColour(overlay, numbers) {
    if (this.painted === overlay && this.paintedNumbers === numbers) return;
    this.painted = overlay;
    this.paintedNumbers = numbers;
    const context = this.colour.getContext('2d');
    const image = context.createImageData(this.film.cols, this.film.rows);
    const { data } = image;
    const { mbf } = this.film;
    const scale = this.palette;
    for (let i = 0; i < mbf.length; i += 1) {
      let rgb = null;
      if (overlay === 'mbf' && Number.isFinite(mbf[i])) {
        const place = (mbf[i] - scale.low) / (scale.high - scale.low);
        rgb = scale.table[Math.min(255, Math.max(0, Math.round(place * 255)))];
      } else if (overlay === 'segments' && numbers[i]) {
        rgb = parse(SEGMENT_COLOURS[(numbers[i] - 1) % 6]);
      }
      if (rgb) data.set([...rgb, 255], 4 * i);
    }
    context.putImageData(image, 0, 0);
  }

  draw({ film, overlay, opacity, outlines, numbers, handles, current, smooth }) {
    const { context, canvas } = this;
    context.fillStyle = '#000';
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (!this.film) return;
    this.paintGrey(film);
    const [sx, sy] = this.scale();
    const [x, y] = this.toScreen([this.film.offset[0] - 0.5, this.film.offset[1] - 0.5]);
    const [width, height] = [this.film.cols * sx, this.film.rows * sy];
    context.imageSmoothingEnabled = smooth;
    context.imageSmoothingQuality = 'low';
    context.drawImage(this.grey, x, y, width, height);
    if (overlay !== 'none') {
      this.paintColour(overlay, numbers);
      context.imageSmoothingEnabled = false;
      context.globalAlpha = opacity;
      context.drawImage(this.colour, x, y, width, height);
      context.globalAlpha = 1;
    }
    if (outlines) this.drawOutlines(outlines, handles, current);
    this.drawRegion();
    if (this.probe) this.drawProbe();
    this.dirty = false;
  }

  path(points, closed = true) {
    this.context.beginPath();
    points.forEach((point, i) => this.context[i ? 'lineTo' : 'moveTo'](...this.toScreen(point)));
    if (closed) this.context.closePath();
  }

  drawOutlines(outlines, handles, current) {
    const { context } = this;
    const thin = Math.max(1.5, this.canvas.width / 300);
    for (const [name, colour] of Object.entries(LINES)) {
      if (!outlines[name]) continue;
      this.path(outlines[name]);
      context.lineWidth = thin;
      context.strokeStyle = colour;
      context.stroke();
    }
    for (const name of ['rv_insertion_anterior', 'rv_insertion_inferior']) {
      if (!outlines[name]) continue;
      const [x, y] = this.toScreen(outlines[name]);
      context.beginPath();
      // The anterior one is a square, so that it is not told by its colour alone.
      if (name === 'rv_insertion_anterior') context.rect(x - 3 * thin, y - 3 * thin, 6 * thin, 6 * thin);
      else context.arc(x, y, 3.5 * thin, 0, 2 * Math.PI);
      context.lineWidth = thin;
      context.strokeStyle = '#6cf';
      context.stroke();
    }
    for (const handle of handles) {
      const [x, y] = this.toScreen(handle.point);
      const chosen = current && current.name === handle.name && current.at === handle.at;
      context.beginPath();
      context.arc(x, y, chosen ? 4.5 * thin : 2 * thin, 0, 2 * Math.PI);
      context.fillStyle = chosen ? '#fff' : LINES[handle.name] ?? '#6cf';
      context.fill();
      if (chosen) { context.lineWidth = thin; context.strokeStyle = '#000'; context.stroke(); }
    }
  }

  drawRegion() {
    if (!this.region.length) return;
    const { context } = this;
    this.path(this.region, this.regionIsClosed);
    context.lineWidth = Math.max(1.5, this.canvas.width / 300);
    context.strokeStyle = '#fff';
    context.setLineDash([6, 4]);
    context.stroke();
    context.setLineDash([]);
    for (const point of this.region) {
      const [x, y] = this.toScreen(point);
      context.fillStyle = '#fff';
      context.fillRect(x - 2, y - 2, 4, 4);
    }
  }

  drawProbe() {
    const { context } = this;
    const [x, y] = this.toScreen(this.probe);
    const reach = Math.max(8, this.canvas.width / 40);
    context.strokeStyle = '#fff';
    context.lineWidth = 1;
    context.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(x + dx * 4, y + dy * 4);
      context.lineTo(x + dx * reach, y + dy * reach);
    }
    context.stroke();
  }
}

function parse(hex) {
  return [1, 3, 5].map((i) => Number.parseInt(hex.slice(i, i + 2), 16));
}
