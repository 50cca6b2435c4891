/** The part of a long path that is on the page: its end while that is followed, else what lies around the place that is read.
 *
 * A browser lays out and paints a hundred messages in no time, and a thousand in none of the time that a frame has.
 */

const FEW = 30; // messages on a page that nobody has scrolled
const STEP = 15; // that come when the reader is near the first or last one
const MOST = 120; // twice what fits between the places where more come, on the largest of screens

export class Excerpt {
  /** The first message of it, and the one behind the last. */
  from = $state(0);
  to = $state(0);

  /** The last messages of so many. */
  toEnd(length: number): void {
    this.from = Math.max(0, length - FEW);
    this.to = length;
  }

  around(index: number): void {
    this.from = Math.max(0, index - FEW);
    this.to = index + FEW;
  }

  earlier(): void {
    this.from = Math.max(0, this.from - STEP);
    this.to = Math.min(this.to, this.from + MOST);
  }

  later(length: number): void {
    this.to = Math.min(length, this.to + STEP);
    this.from = Math.max(this.from, this.to - MOST);
  }

  /** Of a path that may have become another meanwhile: something is always shown. */
  of<T>(path: readonly T[]): T[] {
    return path.slice(Math.min(this.from, Math.max(0, path.length - FEW)), this.to);
  }
}
