// A canvas that one paints on: with a finger, a mouse or the arrow keys.

/** Call `stroke(from, to)` with places (x, y) on a grid of so many cells a side, whole numbers or not, for each piece painted.
 *  Keys: the arrows move a mark, the space bar puts the brush down or lifts it. */
export function onStrokes(canvas, side, stroke) {
  const mark = document.createElement('i');
  mark.className = 'mark';
  canvas.parentElement.append(mark);
  canvas.tabIndex = 0;
  canvas.setAttribute('role', 'application');
  canvas.setAttribute('aria-roledescription', 'picture to paint on');
  let pen = null, at = [side / 2, side / 2], down = false;

  const place = event => {
    const box = canvas.getBoundingClientRect();
    return [side * (event.clientX - box.left) / box.width, side * (event.clientY - box.top) / box.height];
  };
  canvas.addEventListener('pointerdown', event => {
    canvas.setPointerCapture(event.pointerId);
    pen = place(event);
    stroke(pen, pen);
  });
  canvas.addEventListener('pointermove', event => {
    if (!pen) return;
    const next = place(event);
    stroke(pen, next);
    pen = next;
  });
  for (const end of ['pointerup', 'pointercancel']) canvas.addEventListener(end, () => { pen = null; });

  const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const show = () => {
    mark.style.left = `${100 * at[0] / side}%`;
    mark.style.top = `${100 * at[1] / side}%`;
    mark.classList.toggle('down', down);
  };
  canvas.addEventListener('keydown', event => {
    const move = MOVES[event.key], before = at;
    if (event.key === ' ') down = !down;
    else if (move) at = at.map((old, i) => Math.min(side - 0.5, Math.max(0.5, old + move[i])));
    else return;
    event.preventDefault();
    show();
    if (down) stroke(before, at);
  });
  canvas.addEventListener('blur', () => { down = false; show(); });
  show();
}

/** Grey levels from 0 to 1 onto a square canvas of as many pixels. */
export function showPicture(canvas, levels) {
  const context = canvas.getContext('2d'), image = context.createImageData(canvas.width, canvas.width);
  levels.forEach((level, i) => image.data.set([255 * level, 255 * level, 255 * level, 255], 4 * i));
  context.putImageData(image, 0, 0);
}
