import type { Command } from 'commander';
import type { Context } from '../context.ts';
import { CHECKS } from '../doctor/checks.ts';
import type { DoctorOptions, Finding } from '../doctor/finding.ts';
import { show, withConnectionOptions, withExamples } from '../options.ts';

const MARK: Record<Finding['level'], string> = { ok: 'ok  ', note: 'note', problem: 'FAIL' };

export function addDoctor(program: Command, context: Context): void {
  const command = program
    .command('doctor')
    .description('check what this machine and its cluster need, and say what to do');
  withConnectionOptions(command)
    .option('--port <port>', 'port that a head here would listen on', '4222')
    .option(
      '--spill <directories>',
      'where a node here would move objects to, separated by commas (default: the home folder)',
    );
  withExamples(command, [
    'manta doctor',
    'manta doctor --address nats://10.0.0.5:4222',
    'manta doctor --json',
  ]);
  command.action(async (options: DoctorOptions) => {
    const findings: Finding[] = [];
    for (const check of CHECKS) findings.push(await check(context, options));
    show(context, options, findings, () => findings.map(draw).join('\n'));
    const problems = findings.filter((finding) => finding.level === 'problem').length;
    if (problems > 0) throw new Error(`${problems} of ${findings.length} checks failed`);
  });
}

function draw(finding: Finding): string {
  const line = `${MARK[finding.level]}  ${finding.what}: ${finding.found}`;
  return finding.todo === undefined ? line : `${line}\n      → ${finding.todo}`;
}
