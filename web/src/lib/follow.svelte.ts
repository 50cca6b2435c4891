/** Keeps a scrolled box at its end while it grows, until its reader scrolls up. */

const NEAR = 48; // pixels from the end that count as the end

export class Follow {
  following = $state(true);
  private box: HTMLElement | null = null;
  private last = 0;

  /** `ends` tells whether what is in the box ends where all of it ends. */
  constructor(private readonly ends: () => boolean = () => true) {}

  /** An attachment: `<div {@attach follow.attach}>` with one child that grows. */
  attach = (box: HTMLElement) => {
    this.box = box;
    const sizes = new ResizeObserver(() => this.following && this.toEnd());
    sizes.observe(box);
    if (box.firstElementChild) sizes.observe(box.firstElementChild);
    const scrolled = () => {
      const rest = box.scrollHeight - box.clientHeight - box.scrollTop;
      if (rest < NEAR && this.ends()) this.following = true;
      else if (box.scrollTop < this.last - 1) this.following = false;
      this.last = box.scrollTop;
    };
    box.addEventListener("scroll", scrolled, { passive: true });
    return () => {
      box.removeEventListener("scroll", scrolled);
      sizes.disconnect();
      this.box = null;
    };
  };

  resume(): void {
    this.following = true;
    this.toEnd();
  }

  private toEnd(): void {
    if (!this.box) return;
    this.box.scrollTop = this.box.scrollHeight;
    this.last = this.box.scrollTop;
  }
}
