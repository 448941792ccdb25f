/**
 * The server itself: which one answers, whether it is well, and how programs reach it.
 */

import * as React from 'react';

import { useAnswer } from './hooks';
import type { ViewProps } from './hooks';
import { CopyButton, Facts, Moment, Trouble, useTitle } from './parts';
import type { ServerInfo } from './records';

const EVERY_S = 5;

/** What is known of the server. */
export function ServerPage({ api, info }: ViewProps & { readonly info: ServerInfo }): React.JSX.Element {
  useTitle('Server');
  const { value: isReady, error } = useAnswer(async () => (await fetch(api.session.url('readyz'), { cache: 'no-store' })).ok, [api], EVERY_S);
  const members = useAnswer(() => api.members(), [api], EVERY_S);
  const address = api.session.base.href.replace(/\/$/, '');
  const code = `import modelbox\n\n# from another machine with token="…", or MODELBOX_API_TOKEN\nmodelbox.connect("${address}")`;
  const health = error !== undefined ? 'cannot be reached' : isReady === undefined ? 'asking …' : isReady ? 'ready' : 'cannot use its storage: its log says why';
  return (
    <div className="mb-page">
      <h1>Server</h1>
      <div className="mb-halves">
        <section aria-label="Server">
          <Facts
            label="Server"
            facts={[
              ['health', <span className="mbw-badge" data-status={isReady ? 'finished' : isReady === undefined ? '' : 'failed'}>{health}</span>],
              ['version', info.version],
              ['address', address],
              ['you are', info.user],
              ['metadata', info.metadataStorage],
              ['metrics', info.metricsStorage],
              ['artifacts', info.artifactStorage]
            ]}
          />
          {(members.value?.items.length ?? 0) > 0 && (
            <>
              <h2>Servers on this store</h2>
              <div className="mb-scroll">
                <table className="mb-table" aria-label="Servers on this store">
                  <thead>
                    <tr>
                      {['host', 'HTTP', 'gRPC', 'serves', 'version', 'seen'].map(title => (
                        <th key={title} scope="col">
                          {title}
                        </th>
                      ))}
                    </tr>
                  </thead>
                  <tbody>
                    {members.value?.items.map(member => (
                      <tr key={member.id}>
                        <th scope="row">{member.hostName}</th>
                        <td>{member.httpAddress}</td>
                        <td>{member.rpcAddress}</td>
                        <td>{member.mode}</td>
                        <td>{member.version}</td>
                        <td>
                          <Moment at={member.seenAt} />
                        </td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            </>
          )}
          <Trouble error={members.error} />
        </section>
        <section aria-label="Use it">
          <h2>From Python</h2>
          <pre>{code}</pre>
          <CopyButton text={code} label="Copy the code" />
          <h2>From a shell</h2>
          <pre>{`MODELBOX_API_ADDR=${address} modelbox client experiments list`}</pre>
        </section>
      </div>
    </div>
  );
}
