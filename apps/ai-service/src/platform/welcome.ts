export interface Welcome {
  url: string;
  keyFile: string;
  /** To be trusted by who tries the lines. */
  certificateFile: string | undefined;
}

/** What to say once the service answers: where it is, where the key is, and lines to paste. */
export function welcome({ url, keyFile, certificateFile }: Welcome): string {
  const key = shellQuoted(keyFile);
  const certificate = certificateFile === undefined ? undefined : shellQuoted(certificateFile);
  const curl = certificate === undefined ? 'curl' : `curl --cacert ${certificate}`;
  const trust = certificate === undefined ? '' : `NODE_EXTRA_CA_CERTS=${certificate} `;
  return `
The AI service is ready.

  URL   ${url}
  Key   ${keyFile}

Try it: embeddings

  ${curl} ${url}/v1/embeddings -H "Authorization: Bearer $(cat ${key})" -H 'Content-Type: application/json' \\
    -d '{"model": "local/use-lite", "input": ["a ship at sea", "a vessel on water"]}'

a chat, streamed

  ${curl} -N ${url}/v1/chat/completions -H "Authorization: Bearer $(cat ${key})" -H 'Content-Type: application/json' \\
    -d '{"model": "local/tiny-moby", "messages": [{"role": "user", "content": "Call me Ishmael."}], "max_tokens": 60, "stream": true}'

the openai package for Node.js, unchanged

  ${trust}OPENAI_API_KEY="$(cat ${key})" OPENAI_BASE_URL=${url}/v1 node --input-type=module -e "
    import OpenAI from 'openai';
    for await (const model of new OpenAI().models.list()) console.log(model.id);"

Stop it with Ctrl-C.
`;
}

/** Left as it is where a shell would read it as one word. */
function shellQuoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
