import type { TimingRule } from '../harness/timeit.ts';
import type { SteadinessCheck } from '../report/report.ts';
import { startRawEcho } from './raw-echo.ts';

/**
 * A busy neighbour changes the bare echo several times over, in both directions (cores that never sleep wake a waiting
 * process sooner). Rows of ours run beside their limit, but peers run after them: checks before and after each suite tell
 * whether the machine was still the same.
 */
export async function checkSteadiness(when: string, rule: TimingRule): Promise<SteadinessCheck> {
  await using echo = await startRawEcho({ clients: 1, servers: 1 });
  const rateOf = async (callsPerServer: number): Promise<number> => {
    const contender = echo.contender({ callsPerServer, withArgument: false });
    await contender.warmUp(rule.warmUpMs);
    return contender.round(rule.roundMs);
  };
  return { when, syncPerSecond: await rateOf(1), batchedPerSecond: await rateOf(1000) };
}
