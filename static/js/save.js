/* Hands a blob, or what an address answers, to the browser's downloads. */
export function save(source, name = "") {
  const link = document.createElement("a");
  link.href = source instanceof Blob ? URL.createObjectURL(source) : source;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  if (source instanceof Blob) setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
