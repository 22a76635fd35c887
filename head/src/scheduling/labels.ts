import { InvalidArgumentError } from '@manta/runtime/errors/errors';

/** One requirement on a label's value: `a`, `!a`, `in(a,b)`, `!in(a,b)`. */
export interface LabelRequirement {
  readonly key: string;
  /** As the user wrote it. */
  readonly text: string;
  readonly values: readonly string[];
  readonly negated: boolean;
}

/** @throws InvalidArgumentError when an expression is malformed. */
export function parseLabels(labels: Readonly<Record<string, string>>): LabelRequirement[] {
  return Object.entries(labels).map(([key, text]) => parseRequirement(key, text.trim()));
}

function parseRequirement(key: string, text: string): LabelRequirement {
  const negated = text.startsWith('!');
  const body = negated ? text.slice(1).trim() : text;
  const list = /^in\((.*)\)$/.exec(body);
  const values = list === null ? [body] : (list[1] ?? '').split(',').map((value) => value.trim());
  if (values.some((value) => value === '' || /[()!,]/.test(value))) {
    throw new InvalidArgumentError(
      `labels.${key} is "${text}": expected a value, "!value", "in(a,b)" or "!in(a,b)"`,
    );
  }
  return { key, text, values, negated };
}

/** A node without the label meets only negated requirements. */
export function meetsRequirement(
  requirement: LabelRequirement,
  labels: Readonly<Record<string, string>>,
): boolean {
  const value = Object.hasOwn(labels, requirement.key) ? labels[requirement.key] : undefined;
  const listed = value !== undefined && requirement.values.includes(value);
  return requirement.negated ? !listed : listed;
}

/** `label zone is "eu", wanted "us"`. */
export function describeUnmet(
  requirement: LabelRequirement,
  labels: Readonly<Record<string, string>>,
): string {
  const { key, text } = requirement;
  if (!Object.hasOwn(labels, key)) return `has no label ${key}, wanted "${text}"`;
  return `label ${key} is "${labels[key]}", wanted "${text}"`;
}
