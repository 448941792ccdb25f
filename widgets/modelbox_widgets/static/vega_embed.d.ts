/** What the bundle before the script of a report brings: draws a chart into an element. */
declare function vegaEmbed(place: HTMLElement, spec: unknown, options: Readonly<Record<string, unknown>>): Promise<unknown>;
