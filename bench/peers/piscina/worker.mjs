const ok = Buffer.from('ok');

export default function smallValue() {
  return ok;
}
