// What the service tells the page about its deployment.

const given = JSON.parse(document.querySelector("meta[name=page-settings]").content);

// `digits`: codes consist of digits. `imageHosts`: where posters may come from.
export const settings = { digits: true, codeLength: 6, imageHosts: [], ...given };
