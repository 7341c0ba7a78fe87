// Reads {contours, level, rows, cols, offset} and writes the segment numbers that the workspace shows.
import { segmentsOf } from '../../frontend/js/workspace/geometry.js';

let text = '';
for await (const chunk of process.stdin) text += chunk;
const { contours, level, rows, cols, offset } = JSON.parse(text);
process.stdout.write(JSON.stringify([...segmentsOf(contours, level, rows, cols, offset).numbers]));
