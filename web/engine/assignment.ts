/** Linear sum assignment, used to match detections to tracks. */

/**
 * Return the pairs [row, column] with minimum total cost; every row or every column is paired.
 *
 * Shortest augmenting paths with potentials (the Hungarian method; Jonker and Volgenant 1987).
 */
export function assign(cost: readonly (readonly number[])[]): [number, number][] {
  const rows = cost.length;
  const columns = cost[0]?.length ?? 0;
  if (rows === 0 || columns === 0) return [];
  if (rows > columns) {
    const turned = Array.from({ length: columns }, (_, column) => cost.map((row) => row[column]!));
    return assign(turned)
      .map(([column, row]): [number, number] => [row, column])
      .sort((a, b) => a[0] - b[0]);
  }
  const rowPotential = new Float64Array(rows);
  const columnPotential = new Float64Array(columns);
  const rowOf = new Int32Array(columns).fill(-1);
  for (let row = 0; row < rows; row++) {
    // grow a tree of alternating paths from this row until it reaches a free column
    const least = new Float64Array(columns).fill(Infinity);
    const before = new Int32Array(columns).fill(-1);
    const done = new Uint8Array(columns);
    let at = row;
    let cameFrom = -1;
    let nearest: number;
    for (;;) {
      nearest = -1;
      for (let column = 0; column < columns; column++) {
        if (done[column]) continue;
        const reduced = cost[at]![column]! - rowPotential[at]! - columnPotential[column]!;
        if (reduced < least[column]!) {
          least[column] = reduced;
          before[column] = cameFrom;
        }
        if (nearest < 0 || least[column]! < least[nearest]!) nearest = column;
      }
      const step = least[nearest]!;
      rowPotential[row] = rowPotential[row]! + step;
      for (let column = 0; column < columns; column++) {
        if (done[column]) {
          rowPotential[rowOf[column]!] = rowPotential[rowOf[column]!]! + step;
          columnPotential[column] = columnPotential[column]! - step;
        } else {
          least[column] = least[column]! - step;
        }
      }
      done[nearest] = 1;
      if (rowOf[nearest]! < 0) break;
      at = rowOf[nearest]!;
      cameFrom = nearest;
    }
    while (nearest >= 0) {
      // augment along the path
      const previous = before[nearest]!;
      rowOf[nearest] = previous >= 0 ? rowOf[previous]! : row;
      nearest = previous;
    }
  }
  const pairs: [number, number][] = [];
  for (let column = 0; column < columns; column++) if (rowOf[column]! >= 0) pairs.push([rowOf[column]!, column]);
  return pairs.sort((a, b) => a[0] - b[0]);
}
