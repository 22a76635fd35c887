/** Growing delays between attempts: `firstMs`, doubled each time, at most `maxMs`. */
export class Backoff {
  private readonly firstMs: number;
  private readonly maxMs: number;
  private nextMs: number;

  constructor(firstMs: number, maxMs: number) {
    this.firstMs = firstMs;
    this.maxMs = maxMs;
    this.nextMs = firstMs;
  }

  next(): number {
    const delayMs = this.nextMs;
    this.nextMs = Math.min(this.maxMs, this.nextMs * 2);
    return delayMs;
  }

  reset(): void {
    this.nextMs = this.firstMs;
  }
}
