/**
 * Files that hang on objects: to save, and to look at where that is safe.
 *
 * A preview shows bitmaps whose bytes the server found to be such, and text as a text node. Nothing of a file is ever parsed as markup.
 */

import * as React from 'react';

import { saveFile } from '../../widgets/modelbox_widgets/static/menu.js';
import { useAnswer } from './hooks';
import type { PageApi } from './pageApi';
import { all } from './pageApi';
import { formatBytes, Moment, Trouble } from './parts';
import type { Artifact } from './records';

/** Owners that one request may ask for. */
const OWNERS_PER_REQUEST = 50;
const IMAGES = /^image\/(?:png|jpeg|gif|webp)$/;
const MOST_IMAGE_BYTES = 8_000_000;
const TEXT_BYTES = 64 * 1024;

interface ArtifactListProps {
  readonly api: PageApi;
  /** Ids of what the files hang on, with a word for each; empty for the object itself. */
  readonly owners: ReadonlyMap<string, string>;
  readonly everyS?: number;
}

/** The files of some objects. */
export function ArtifactList({ api, owners, everyS = 0 }: ArtifactListProps): React.JSX.Element {
  const { value: artifacts, error } = useAnswer(() => artifactsOf(api, [...owners.keys()]), [api, [...owners.keys()].join()], everyS);
  const [open, setOpen] = React.useState<string>();
  if (!artifacts) {
    return error === undefined ? <p className="mb-note">Looking for artifacts …</p> : <Trouble error={error} />;
  }
  if (artifacts.length === 0) {
    return (
      <p className="mb-note">
        No artifacts. In Python: <code>run.upload_artifact("model.joblib")</code>
      </p>
    );
  }
  return (
    <div className="mb-scroll">
      <Trouble error={error} />
      <table className="mb-table" aria-label="Artifacts">
        <thead>
          <tr>
            <th scope="col">name</th>
            <th scope="col">kind</th>
            <th scope="col" className="mb-num">
              size
            </th>
            <th scope="col">SHA-256</th>
            <th scope="col">added</th>
            <th scope="col" aria-label="Actions" />
          </tr>
        </thead>
        <tbody>
          {artifacts.map(artifact => (
            <React.Fragment key={artifact.id}>
              <tr>
                <th scope="row" title={artifact.uri || artifact.name}>
                  {artifact.name} {owners.get(artifact.parentId) && <span className="mb-tag">{owners.get(artifact.parentId)}</span>}
                </th>
                <td>{artifact.fileType === 'undefined' ? artifact.mediaType : artifact.fileType}</td>
                <td className="mb-num">{artifact.sizeBytes === null ? '' : formatBytes(artifact.sizeBytes)}</td>
                <td title={artifact.sha256}>
                  <code>{artifact.sha256.slice(0, 12)}</code>
                </td>
                <td>
                  <Moment at={artifact.createdAt} />
                </td>
                <td className="mb-row-actions">
                  {artifact.isUploaded ? (
                    <>
                      <button
                        type="button"
                        className="mb-quiet"
                        aria-expanded={open === artifact.id}
                        onClick={() => setOpen(open === artifact.id ? undefined : artifact.id)}
                      >
                        Preview
                      </button>
                      <Download api={api} artifact={artifact} />
                    </>
                  ) : (
                    <span className="mb-dim" title={artifact.uri}>
                      stays at {artifact.uri}
                    </span>
                  )}
                </td>
              </tr>
              {open === artifact.id && (
                <tr className="mb-preview">
                  <td colSpan={6}>
                    <Preview api={api} artifact={artifact} />
                  </td>
                </tr>
              )}
            </React.Fragment>
          ))}
        </tbody>
      </table>
    </div>
  );
}

async function artifactsOf(api: PageApi, ids: readonly string[]): Promise<readonly Artifact[]> {
  const found: Artifact[] = [];
  for (let start = 0; start < ids.length; start += OWNERS_PER_REQUEST) {
    const owners = ids.slice(start, start + OWNERS_PER_REQUEST);
    found.push(...(await all(token => api.artifacts(owners, token))));
  }
  return found.sort((a, b) => a.name.localeCompare(b.name));
}

function Download({ api, artifact }: { readonly api: PageApi; readonly artifact: Artifact }): React.JSX.Element {
  const [state, setState] = React.useState('Download');
  const save = async (): Promise<void> => {
    setState('Downloading …');
    try {
      const response = await api.content(artifact.id);
      saveFile(await response.blob(), artifact.name.split('/').pop() ?? artifact.name);
      setState('Download');
    } catch (error) {
      setState(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <button type="button" className="mb-quiet" onClick={() => void save()}>
      {state}
    </button>
  );
}

type Shown = { readonly image: string } | { readonly text: string; readonly isCut: boolean } | { readonly nothing: string };

function Preview({ api, artifact }: { readonly api: PageApi; readonly artifact: Artifact }): React.JSX.Element {
  const { value: shown, error } = useAnswer(() => preview(api, artifact), [api, artifact.id]);
  React.useEffect(() => () => void (shown && 'image' in shown && URL.revokeObjectURL(shown.image)), [shown]);
  if (!shown) {
    return error === undefined ? <p className="mb-note">Reading …</p> : <Trouble error={error} />;
  }
  if ('image' in shown) {
    return <img src={shown.image} alt={artifact.name} />;
  }
  if ('nothing' in shown) {
    return <p className="mb-note">{shown.nothing}</p>;
  }
  return (
    <>
      <pre>{shown.text}</pre>
      {shown.isCut && <p className="mb-note">The first {formatBytes(TEXT_BYTES)}; download it to see the rest.</p>}
    </>
  );
}

async function preview(api: PageApi, artifact: Artifact): Promise<Shown> {
  const size = artifact.sizeBytes ?? 0;
  if (size === 0) {
    return { nothing: 'The file is empty.' };
  }
  const mayBeImage = IMAGES.test(artifact.mediaType) && size <= MOST_IMAGE_BYTES;
  const response = await api.content(artifact.id, mayBeImage ? undefined : Math.min(size, TEXT_BYTES));
  const type = response.headers.get('Content-Type') ?? '';
  if (IMAGES.test(type)) {
    return { image: URL.createObjectURL(await response.blob()) };
  }
  return textOf(new Uint8Array(await response.arrayBuffer()).subarray(0, TEXT_BYTES), size);
}

/** Bytes as text, if they are text. */
export function textOf(bytes: Uint8Array, sizeBytes: number): Shown {
  const isCut = sizeBytes > bytes.length;
  try {
    // The cut may have gone through a character.
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: isCut });
    if (!text.includes('\0')) {
      return { text, isCut };
    }
  } catch {
    // Not text.
  }
  return { nothing: 'This is neither text nor a picture that can be shown safely: download it.' };
}
