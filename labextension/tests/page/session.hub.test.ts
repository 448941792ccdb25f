import { describe, expect, it } from 'vitest';

import { proofOf } from '../../page/session';

describe('proofOf', () => {
  it('takes what ModelBox itself set before what a Jupyter server did', () => {
    expect(proofOf('_xsrf=2|a; modelbox-xsrf=b')).toBe('b');
    expect(proofOf('theme=dark; _xsrf=2%7Ca')).toBe('2|a');
  });

  it('takes no cookie for another', () => {
    expect(proofOf('')).toBeUndefined();
    expect(proofOf('not_xsrf=a; x=modelbox-xsrf=b')).toBeUndefined();
  });

  it('keeps what looks like a separator', () => {
    expect(proofOf('modelbox-xsrf=a=b')).toBe('a=b');
  });
});
