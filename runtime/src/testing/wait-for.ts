/**
 * Polls until the condition holds and returns what it returned. For tests: instead of sleeping.
 * @throws Error that says what was waited for, and the last error of the condition as its cause.
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  options: { timeoutMs?: number; intervalMs?: number; describe: string },
): Promise<NonNullable<T>> {
  const { timeoutMs = 10_000, intervalMs = 10, describe } = options;
  const deadline = performance.now() + timeoutMs;
  let lastError: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value) return value;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() >= deadline) {
      throw new Error(`Not seen within ${timeoutMs} ms: ${describe}`, { cause: lastError });
    }
    await new Promise((resolve) => {
      setTimeout(resolve, intervalMs);
    });
  }
}
