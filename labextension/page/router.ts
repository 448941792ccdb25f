/**
 * Addresses of views, behind the `#` so that any server can serve the page under any path. Pure.
 */

/** What the page can show. */
export type Route =
  | { readonly page: 'experiments'; readonly query: string; readonly sort: string; readonly columns: readonly string[] }
  | { readonly page: 'experiment'; readonly id: string; readonly tab: Tab }
  | { readonly page: 'compare'; readonly ids: readonly string[]; readonly metric: string }
  | { readonly page: 'models'; readonly id: string }
  | { readonly page: 'access' }
  | { readonly page: 'server' }
  | { readonly page: 'unknown'; readonly path: string };

/** The parts of one experiment. */
export type Tab = 'overview' | 'artifacts' | 'history';

const TABS: readonly Tab[] = ['overview', 'artifacts', 'history'];

/** The first view: every experiment. */
export const HOME: Route = { page: 'experiments', query: '', sort: '', columns: [] };

/** Read an address, with or without its `#`. */
export function parseRoute(hash: string): Route {
  const [path = '', search = ''] = split(hash.replace(/^#?\/?/, ''), '?');
  const parameters = new URLSearchParams(search);
  const [page = '', id = '', tab = ''] = path.split('/').map(decoded);
  switch (page) {
    case '':
    case 'experiments':
      if (id) {
        return { page: 'experiment', id, tab: TABS.find(known => known === tab) ?? 'overview' };
      }
      return {
        page: 'experiments',
        query: parameters.get('q') ?? '',
        sort: parameters.get('sort') ?? '',
        columns: parameters.getAll('column')
      };
    case 'compare':
      return { page: 'compare', ids: id.split(',').filter(Boolean), metric: parameters.get('metric') ?? '' };
    case 'models':
      return { page: 'models', id };
    case 'access':
    case 'server':
      return { page };
    default:
      return { page: 'unknown', path };
  }
}

/** Write an address, with its `#`. */
export function hashOf(route: Route): string {
  const parameters = new URLSearchParams();
  let path: string;
  switch (route.page) {
    case 'experiments':
      path = 'experiments';
      if (route.query) {
        parameters.set('q', route.query);
      }
      if (route.sort) {
        parameters.set('sort', route.sort);
      }
      route.columns.forEach(name => parameters.append('column', name));
      break;
    case 'experiment':
      path = `experiments/${encodeURIComponent(route.id)}${route.tab === 'overview' ? '' : `/${route.tab}`}`;
      break;
    case 'compare':
      path = `compare/${route.ids.map(encodeURIComponent).join(',')}`;
      if (route.metric) {
        parameters.set('metric', route.metric);
      }
      break;
    case 'models':
      path = `models${route.id ? `/${encodeURIComponent(route.id)}` : ''}`;
      break;
    case 'access':
    case 'server':
      path = route.page;
      break;
    case 'unknown':
      path = route.path;
  }
  const search = parameters.toString();
  return `#/${path}${search ? `?${search}` : ''}`;
}

function split(text: string, at: string): [string, string] {
  const place = text.indexOf(at);
  return place < 0 ? [text, ''] : [text.slice(0, place), text.slice(place + 1)];
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
