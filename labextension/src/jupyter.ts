/**
 * The ModelBox API of the Jupyter server that this page came from.
 */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import { Api, ApiError } from './api';

/** The API below the base URL of a Jupyter server. */
export function jupyterApi(settings: ServerConnection.ISettings): Api {
  const send = async (path: string, init: RequestInit): Promise<Response> => {
    try {
      return await ServerConnection.makeRequest(URLExt.join(settings.baseUrl, 'modelbox', 'api/v1', path), init, settings);
    } catch (error) {
      if (error instanceof ServerConnection.NetworkError) {
        throw new ApiError('The Jupyter server cannot be reached: is it still running?', 0);
      }
      throw error;
    }
  };
  return new Api(send, 'This Jupyter server does not answer for ModelBox: is its server extension enabled (jupyter server extension list)?');
}
