// A digit drawn by hand, brought into the form of the data.
import { onStrokes } from './strokes.js';

const INK = 256;

/** A board to draw on; `drawn(small)` gets the digit as 8x8 counts from 0 to 16 after each piece of a stroke. */
export function drawingBoard(canvas, drawn) {
  const ink = canvas.getContext('2d', { willReadFrequently: true });
  let shown = false;  // a digit of the data, which the first stroke replaces
  const clear = () => { ink.fillStyle = 'black'; ink.fillRect(0, 0, INK, INK); shown = false; };
  onStrokes(canvas, 16, (from, to) => {
    if (shown) clear();
    const [a, b, c, d] = [...from, ...to].map(place => place * INK / 16);
    Object.assign(ink, { strokeStyle: 'white', lineWidth: 26, lineCap: 'round' });
    ink.beginPath();
    ink.moveTo(a, b);
    ink.lineTo(c + 0.1, d);
    ink.stroke();
    drawn(counted(ink.getImageData(0, 0, INK, INK).data));
  });
  /** Show a digit of the data, 8x8. */
  const show = small => {
    clear();
    shown = true;
    const side = INK / 8;
    small.forEach((level, i) => {
      ink.fillStyle = `rgb(${Array(3).fill(255 * level / 16)})`;
      ink.fillRect(side * (i % 8), side * Math.floor(i / 8), side, side);
    });
  };
  clear();
  return { clear, show };
}

/** As the data were made (Kaynak 1995): the digit in a square around it, 32x32 black or white, and counts of 4x4 blocks. */
function counted(rgba) {
  const white = (x, y) => x >= 0 && x < INK && y >= 0 && y < INK && rgba[4 * (INK * y + x)] > 127;
  let left = INK, right = 0, top = INK, bottom = 0;
  for (let y = 0; y < INK; y++) for (let x = 0; x < INK; x++) if (white(x, y)) {
    [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
  }
  const side = Math.max(right - left, bottom - top, 32) + 1, x0 = (left + right + 1 - side) / 2, y0 = (top + bottom + 1 - side) / 2;
  const small = new Uint8Array(64);
  for (let i = 0; i < 32; i++) for (let j = 0; j < 32; j++) {
    if (white(Math.floor(x0 + (j + 0.5) * side / 32), Math.floor(y0 + (i + 0.5) * side / 32))) small[8 * (i >> 2) + (j >> 2)]++;
  }
  return small;
}
