/**
 * Models, their versions and the tags of those.
 */

import * as React from 'react';

import { ArtifactList } from './artifacts';
import { useAnswer } from './hooks';
import type { ViewProps } from './hooks';
import type { PageApi } from './pageApi';
import { all } from './pageApi';
import { Moment, Trouble, useTitle } from './parts';
import type { Model, ModelVersion } from './records';
import { hashOf } from './router';
import type { Route } from './router';

type ModelsRoute = Extract<Route, { page: 'models' }>;

const EVERY_S = 10;

/** The registry: models on the left, the versions of one on the right. */
export function ModelsPage({ route, api }: ViewProps & { readonly route: ModelsRoute }): React.JSX.Element {
  const { value: models, error } = useAnswer(() => all(token => api.models(token)), [api], EVERY_S);
  const shown = models?.find(model => model.id === route.id) ?? (route.id ? undefined : models?.[0]);
  useTitle(shown && route.id ? shown.name : 'Models');
  if (!models) {
    return <div className="mb-page">{error === undefined ? <p className="mb-note">Looking for models …</p> : <Trouble error={error} />}</div>;
  }
  if (models.length === 0) {
    return (
      <div className="mb-page mb-empty">
        <h2>No models yet</h2>
        <p>A model is what solves a task; its versions are what was trained for it.</p>
        <pre>{`model = modelbox.new_model("digits", task="classification")\nversion = model.new_model_version("1", unique_tags=["candidate"])`}</pre>
      </div>
    );
  }
  return (
    <div className="mb-page">
      <Trouble error={error} />
      <div className="mb-columns">
        <nav className="mb-models" aria-label="Models">
          {models.map(model => (
            <a key={model.id} href={hashOf({ page: 'models', id: model.id })} aria-current={model === shown ? 'page' : undefined}>
              <b>{model.name}</b>
              <span className="mb-dim">{[model.namespace, model.task].filter(Boolean).join(' · ')}</span>
            </a>
          ))}
        </nav>
        {shown ? <ModelView key={shown.id} model={shown} api={api} /> : <p className="mb-note">There is no such model any more.</p>}
      </div>
    </div>
  );
}

function ModelView({ model, api }: { readonly model: Model; readonly api: PageApi }): React.JSX.Element {
  const { value: versions, error } = useAnswer(() => all(token => api.versions(model.id, token)), [api, model.id], EVERY_S);
  return (
    <section aria-label={model.name}>
      <header className="mb-head">
        <h1>{model.name}</h1>
        <p>
          <span>{model.namespace}</span>
          {model.task && <span>{model.task}</span>}
          {model.owner && <span>{model.owner}</span>}
        </p>
        {model.description && <p>{model.description}</p>}
      </header>
      <Trouble error={error} />
      {versions?.length === 0 && (
        <p className="mb-note">
          No versions yet. In Python: <code>model.new_model_version("1")</code>
        </p>
      )}
      <ul className="mb-versions">
        {versions?.map(version => (
          <VersionItem key={version.id} version={version} api={api} />
        ))}
      </ul>
    </section>
  );
}

function VersionItem({ version, api }: { readonly version: ModelVersion; readonly api: PageApi }): React.JSX.Element {
  const [isOpen, setOpen] = React.useState(false);
  return (
    <li className="mb-card">
      <div className="mb-version">
        <b>{version.version}</b>
        {version.name && <span>{version.name}</span>}
        {version.tags.map(tag => (
          <span key={tag} className="mb-tag">
            {tag}
          </span>
        ))}
        <span className="mb-dim">
          {version.framework && `${version.framework} · `}
          <Moment at={version.createdAt} />
        </span>
        {version.experimentId !== null && (
          <a href={hashOf({ page: 'experiment', id: version.experimentId, tab: 'overview' })}>trained by {version.experimentId.slice(0, 8)}</a>
        )}
        <button type="button" className="mb-quiet" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
          Artifacts
        </button>
      </div>
      {version.description && <p>{version.description}</p>}
      {isOpen && <ArtifactList api={api} owners={new Map([[version.id, '']])} />}
    </li>
  );
}
