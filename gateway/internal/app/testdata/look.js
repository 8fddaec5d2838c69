// What a person sees, measured in the page. The value is an object with two
// functions: page() says all that is wrong with the page, a sentence each;
// focus() says where the keyboard is.
(() => {
  // The numbers are WCAG 2.2's.
  const textContrast = 4.5 // 1.4.3
  const outlineContrast = 3 // 1.4.11
  const target = 24 // CSS pixels, 2.5.8

  const name = e => `<${e.localName}> “${e.textContent.trim().replace(/\s+/g, ' ').slice(0, 40)}”`
  const visible = e => e.checkVisibility({ checkVisibilityCSS: true, checkOpacity: true })

  function color(text) {
    const parts = /^rgba?\(([\d.]+), ([\d.]+), ([\d.]+)(?:, ([\d.]+))?\)$/.exec(text)
    if (!parts) throw new Error(`this color cannot be read: ${text}`)
    return [...parts.slice(1, 4).map(Number), Number(parts[4] ?? 1)]
  }
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])).concat(1)

  // What an element is painted on; the window is white or, in the dark, black.
  function backdrop(e) {
    if (!e) return matchMedia('(prefers-color-scheme: dark)').matches ? [0, 0, 0, 1] : [255, 255, 255, 1]
    const style = getComputedStyle(e)
    if (style.backgroundImage !== 'none') throw new Error(`${name(e)} has a picture behind it`)
    const own = color(style.backgroundColor)
    return own[3] === 1 ? own : over(own, backdrop(e.parentElement))
  }

  function luminance(c) {
    const [r, g, b] = c.map(v => v / 255).map(v => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  function contrast(text, behind) {
    const [light, dark] = [luminance(over(color(text), behind)), luminance(behind)].sort((a, b) => b - a)
    return (light + 0.05) / (dark + 0.05)
  }

  function* texts() {
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    while (walk.nextNode()) {
      const node = walk.currentNode
      if (node.data.trim() && visible(node.parentElement)) yield node
    }
  }

  function structure(wrong) {
    if (!document.title.trim()) wrong.push('the page has no title')
    if (!document.documentElement.lang) wrong.push('the page has no language')
    const headings = document.querySelectorAll('h1').length
    if (headings !== 1) wrong.push(`the page has ${headings} main headings`)
    for (const e of document.querySelectorAll('input:not([type=hidden]), select, textarea')) {
      if (!e.labels.length && !e.ariaLabel) wrong.push(`${e.outerHTML} has no label`)
    }
    for (const e of document.querySelectorAll('button, a')) {
      if (!e.innerText.trim()) wrong.push(`${e.outerHTML} has no name`)
    }
  }

  function layout(wrong) {
    const wide = document.documentElement.scrollWidth
    if (wide > innerWidth) wrong.push(`the page scrolls sideways: it is ${wide} wide`)
    for (const e of document.querySelectorAll('button, a, input:not([type=hidden]), select, textarea')) {
      const { width, height } = e.getBoundingClientRect()
      if (width < target || height < target) wrong.push(`${name(e)} is ${width} by ${height}`)
    }
    for (const e of document.body.querySelectorAll('*')) {
      if (getComputedStyle(e).overflow !== 'visible' && (e.scrollWidth > e.clientWidth || e.scrollHeight > e.clientHeight)) {
        wrong.push(`${name(e)} is cut`)
      }
    }
  }

  function reading(wrong) {
    for (const node of texts()) {
      const parent = node.parentElement
      const range = document.createRange()
      range.selectNodeContents(node)
      const card = parent.closest('main, body').getBoundingClientRect()
      for (const { left, right } of range.getClientRects()) {
        if (left < card.left || right > card.right + 0.5) wrong.push(`${name(parent)} goes from ${left} to ${right}, out of ${card.left} to ${card.right}`)
      }
      const ratio = contrast(getComputedStyle(parent).color, backdrop(parent))
      if (ratio < textContrast) wrong.push(`${name(parent)} has a contrast of ${ratio.toFixed(2)}`)
    }
  }

  return {
    page() {
      const wrong = []
      structure(wrong)
      layout(wrong)
      reading(wrong)
      return wrong
    },
    focus() {
      const e = document.activeElement
      if (!e || e === document.body) return { name: '', wrong: [] }
      const wrong = []
      const style = getComputedStyle(e)
      if (style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 2) wrong.push('no outline')
      else {
        // The outline lies around the element, on what the element is on.
        const ratio = contrast(style.outlineColor, backdrop(e.parentElement))
        if (ratio < outlineContrast) wrong.push(`an outline with a contrast of ${ratio.toFixed(2)}`)
      }
      const { left, right, top, bottom } = e.getBoundingClientRect()
      const around = parseFloat(style.outlineOffset) + parseFloat(style.outlineWidth)
      if (left < around || top < around || right > innerWidth - around || bottom > innerHeight - around) {
        wrong.push(`a place out of sight: ${left} to ${right}, ${top} to ${bottom}`)
      } else if (!e.contains(document.elementFromPoint((left + right) / 2, (top + bottom) / 2))) wrong.push('something else over it')
      return { name: e.innerText.trim().split('\n')[0], wrong }
    },
  }
})()
